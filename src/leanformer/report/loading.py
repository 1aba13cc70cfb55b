"""How to load the result: code for each door that this run's model has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from leanformer.report.runtimes import kept_exports, variant


@dataclass(frozen=True)
class Door:
    """One way to load the model.

    Attributes:
        name: What it needs, in words.
        code: Python to copy.
    """

    name: str
    code: str


def is_plain(result: dict[str, Any]) -> bool:
    """Whether stock transformers classes load the model: the `door` that encoders.saving reported."""
    return bool(result["door"] == "plain")


def pipeline_of(task: dict[str, Any]) -> str:
    """Name the pipeline of transformers, and the hub's task, for the `task` of result.json."""
    own_names = ("token-classification", "question-answering")
    named = {"embedding": "sentence-similarity"} | {kind: kind for kind in own_names}
    return named.get(task["kind"], "text-classification")


def doors(result: dict[str, Any], model: str) -> list[Door]:
    """Return the doors of the model folder.

    Args:
        result: The content of result.json.
        model: The model folder (or hub id) as written in the code.

    Returns:
        One door where plain transformers suffices, two where the shapes differ from layer to layer.
    """
    if result["task"]["kind"] == "embedding":
        return _embedding_doors(result, model)
    if result["task"]["kind"] == "question-answering":
        return _question_doors(result, model)
    ask = '("A text to classify.")'
    if result["task"]["pair"]:
        ask = '({"text": "One text.", "text_pair": "The other."})'
    pipeline = pipeline_of(result["task"])
    make = f'pipeline("{pipeline}", {_quoted(model)}'
    if pipeline == "token-classification":
        make += ', aggregation_strategy="first"'  # a word is what its first token says, as in training
    if is_plain(result):
        return [
            Door(
                "plain transformers",
                f"from transformers import pipeline\n\nclassify = {make})\nclassify{ask}",
            )
        ]
    return [
        Door(
            "with leanformer installed",
            f"import leanformer.encoders.lean  # registers the classes\nfrom transformers import pipeline\n\n"
            f"classify = {make})\nclassify{ask}",
        ),
        Door(
            "without leanformer: the code carried in the folder",
            f"from transformers import pipeline\n\nclassify = {make}, trust_remote_code=True)\nclassify{ask}",
        ),
    ]


def _embedding_doors(result: dict[str, Any], model: str) -> list[Door]:
    """Return the doors of a folder of sentence-transformers."""
    code = (
        "from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer({})\n" + _ENCODE
    )
    if is_plain(result):
        return [Door("sentence-transformers", code.format(_quoted(model)))]
    registered = "import leanformer.encoders.lean  # registers the classes\n" + code.format(_quoted(model))
    carried = code.format(f"{_quoted(model)}, trust_remote_code=True")
    return [
        Door("sentence-transformers, with leanformer installed", registered),
        Door("sentence-transformers, without leanformer: the code carried in the folder", carried),
    ]


_ENCODE = (
    'vectors = model.encode(["One text.", "The other."])\nprint(model.similarity(vectors[:1], vectors[1:]))'
)


def _question_doors(result: dict[str, Any], model: str) -> list[Door]:
    """Return the doors of a model that answers questions: transformers 5 has no pipeline for them."""
    if is_plain(result):
        return [Door("plain transformers", _ASK.format(home=_quoted(model), trust=""))]
    registered = "import leanformer.encoders.lean  # registers the classes\n"
    return [
        Door("with leanformer installed", registered + _ASK.format(home=_quoted(model), trust="")),
        Door(
            "without leanformer: the code carried in the folder",
            _ASK.format(home=_quoted(model), trust=", trust_remote_code=True"),
        ),
    ]


_ASK = """import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({home})
model = AutoModelForQuestionAnswering.from_pretrained({home}{trust}).eval()
question, text = "Where was it shown?", "The film was shown in Rome."
batch = tokenizer(question, text, return_tensors="pt", return_offsets_mapping=True)
characters = batch.pop("offset_mapping")[0].tolist()
of_text = torch.tensor([part == 1 for part in batch.sequence_ids()])
with torch.no_grad():
    output = model(**batch)
sums = output.start_logits[0][:, None] + output.end_logits[0]  # (tokens, tokens)
allowed = (of_text[:, None] & of_text).triu().tril(29)  # of 30 tokens at most
start, end = divmod(int(sums.where(allowed, -torch.inf).argmax()), len(sums))
answer = text[characters[start][0] : characters[end][1]]"""


def export_doors(result: dict[str, Any], folder: str) -> list[Door]:
    """Return one door for each runtime that was exported to: the variant to serve, else the smallest that was kept.

    Args:
        result: The content of result.json.
        folder: The run folder as written in the code.

    Returns:
        The doors; none when nothing was exported.
    """
    serve = variant(result["serve"]) if result.get("serve") else ""
    shown: dict[str, dict[str, Any]] = {}
    for export in sorted(
        kept_exports(result), key=lambda one: (variant(one) == serve, -float(one.get("size_mb") or 0))
    ):
        shown[export["runtime"]] = export  # the last one of each runtime stays
    texts = '["One text."], ["The other."]' if result["task"]["pair"] else '["A text to classify."]'
    if result["task"]["kind"] == "embedding":
        texts = '["One text."]'
    asks_places = result["task"]["kind"] == "question-answering"
    if asks_places:
        texts = '["Where was it shown?"], ["The film was shown in Rome."]'
    return [
        _export_door(export, folder, texts, asks_places)
        for export in shown.values()
        if export["runtime"] in _RUN
    ]


_TOKENS = (
    "from transformers import AutoTokenizer\n\n"
    "tokenizer = AutoTokenizer.from_pretrained({home})\n"
    'batch = dict(tokenizer({texts}, return_tensors="np"))\n'
)
_BOTH = {"onnxruntime": "", "openvino": ".to_tuple()"}
"""What of an answer holds both outputs of a graph."""

_RUN = {
    "onnxruntime": (
        "ONNX Runtime",
        "import onnxruntime\n" + _TOKENS + "session = onnxruntime.InferenceSession({file})\n"
        "wanted = [entry.name for entry in session.get_inputs()]\n"
        "{answer} = session.run(None, {{name: batch[name] for name in wanted}}){part}",
    ),
    "openvino": (
        "OpenVINO",
        "import openvino\n" + _TOKENS + 'model = openvino.Core().compile_model({file}, "CPU")\n'
        "wanted = [entry.get_any_name() for entry in model.inputs]\n"
        "{answer} = model({{name: batch[name] for name in wanted}}){part}",
    ),
}


def _export_door(export: dict[str, Any], folder: str, texts: str, asks_places: bool) -> Door:
    name, code = _RUN[export["runtime"]]
    file = f"{folder}/{export['path']}"
    home = file.rpartition("/")[0]  # its tokenizer needs no carried code, unlike that of the model
    answer, part = (
        ("start_logits, end_logits", _BOTH[export["runtime"]]) if asks_places else ("logits", "[0]")
    )
    filled = code.format(home=_quoted(home), file=_quoted(file), texts=texts, answer=answer, part=part)
    return Door(f"{name}, {export['precision']}", filled)


def _quoted(path: str) -> str:
    """Write a path as a string of Python; JSON's strings are such."""
    return json.dumps(path, ensure_ascii=False)
