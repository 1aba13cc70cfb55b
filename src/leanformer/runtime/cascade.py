"""A chain of small models that texts leave early: the part of leanformer that a server needs.

    cascade = Cascade("small/onnx/model.onnx", threads=2)
    logits = cascade({"input_ids": ids, "attention_mask": mask})
    cascade.layers  # how many layers each text used

Needs numpy, and onnxruntime for .onnx files or openvino for .xml files; nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Session = Callable[[Arrays], Arrays]
CLOSE = 0.1
"""Two values that differ by less agree."""


def description(path: Path) -> Path:
    """Return where the chain that begins with a file is described."""
    return path.with_name(f"{path.stem}.cascade.json")


def part_file(path: Path, number: int) -> Path:
    """Return the file of a part of the chain that begins with a file, counted from 0."""
    return path.with_name(f"{path.stem}.part-{number + 1}{path.suffix}") if number else path


def chain_files(path: Path) -> list[Path]:
    """Return the files of all parts of the model that begins with a file: that file alone, where it is whole."""
    if not description(path).is_file():
        return [path]
    depths = json.loads(description(path).read_text(encoding="utf-8"))["layers"]
    return [part_file(path, number) for number in range(len(depths))]


def open_session(path: Path, threads: int | None = None, precision: str = "f32") -> Session:
    """Open one part.

    Args:
        path: An .onnx or .xml file.
        threads: Processor threads; by default the runtime decides.
        precision: "f32" or "bf16", what OpenVINO computes in.

    Returns:
        A function from arrays by input name to arrays by output name.
    """
    return (_onnx_session if path.suffix == ".onnx" else _openvino_session)(path, threads, precision)


def normalised_entropy(logits: np.ndarray) -> np.ndarray:
    """Return the entropy of answers over the largest possible (FastBERT, Liu et al. 2020, equation 10).

    Args:
        logits: (texts, labels).

    Returns:
        (texts,), from 0 for a sure answer to 1.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    entropy: np.ndarray = -(np.exp(logs) * logs).sum(axis=-1) / np.log(logs.shape[-1])
    return entropy


class Cascade:
    """Runs a text through as many parts of a model as it needs.

    Attributes:
        path: The first part.
        layers: How many layers each text of the last batch used, (texts,).
        policy: "entropy", "patience" or "learned".
        threshold: Below which uncertainty a text leaves; for patience, how many exits in a row have to agree. It may
            be set: higher is faster, of patience lower.

    Args:
        path: The first part: a file that `leanformer export` has written; the others lie beside it.
        threads: Processor threads; by default the runtime decides.
        precision: "f32" or "bf16", what OpenVINO computes in.

    Raises:
        FileNotFoundError: If there is no chain at that path.
    """

    path: Path
    layers: np.ndarray
    policy: str
    threshold: float

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        first = Path(path)
        if not description(first).is_file():
            raise FileNotFoundError(
                f"{first} is no chain of parts: there is no {description(first).name} beside it"
            )
        told = json.loads(description(first).read_text(encoding="utf-8"))
        self.path, self.policy, self.threshold = first, str(told["policy"]), float(told["threshold"])
        self.depths = [int(depth) for depth in told["layers"]]
        self.parts = [open_session(file, threads, precision) for file in chain_files(first)]

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answer a batch; after each part the texts that are done leave, and the rest goes on alone.

        Args:
            batch: What the tokenizer made: input_ids, attention_mask and the like, (texts, tokens) each, int64.

        Returns:
            Logits, (texts, labels), float32.
        """
        count = len(batch["attention_mask"])
        rows, inputs = np.arange(count), dict(batch)
        self.layers = np.full(count, self.depths[-1])
        agreed, last, answers = np.zeros(count), None, None
        for number, (part, depth) in enumerate(zip(self.parts, self.depths, strict=True)):
            out = part(inputs)
            logits = out["logits"]
            if answers is None:
                answers = np.empty((count, logits.shape[-1]), dtype=np.float32)
            answers[rows] = logits  # the last word of those who leave; of the others only until the next part
            if number == len(self.parts) - 1:
                break
            agreed, last = agreements(logits, last, agreed)
            stays = ~self._leaves(out, agreed)
            self.layers[rows[~stays]] = depth
            if not stays.any():
                break
            rows, agreed, last = rows[stays], agreed[stays], last[stays]
            mask = inputs["attention_mask"][stays]
            width = int(mask.any(axis=0).nonzero()[0].max()) + 1  # padding of texts that have left goes, too
            states = np.ascontiguousarray(out["states"][stays, :width])
            inputs = {"inputs_embeds": states, "attention_mask": np.ascontiguousarray(mask[:, :width])}
        if answers is None:
            raise ValueError("A chain without parts can not answer.")
        return answers

    def heard(self, batch: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """Ask every part for its answer to all texts; nobody leaves.

        Args:
            batch: What the tokenizer made, as for a call.

        Returns:
            Logits, (parts, texts, labels); and how likely each part but the last says that it is wrong,
            (parts - 1, texts), where it does.
        """
        logits, wrong, inputs = [], [], dict(batch)
        for part in self.parts:
            out = part(inputs)
            logits.append(out["logits"])
            if part is not self.parts[-1]:
                wrong += [out["wrong"]] if "wrong" in out else []
                inputs = {"inputs_embeds": out["states"], "attention_mask": batch["attention_mask"]}
        return np.stack(logits), np.stack(wrong) if wrong else None

    def keep_dial(self) -> None:
        """Write the threshold beside the parts: whoever opens them next begins with it."""
        file = description(self.path)
        told = json.loads(file.read_text(encoding="utf-8")) | {"threshold": self.threshold}
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(file)

    def _leaves(self, out: Arrays, agreed: np.ndarray) -> np.ndarray:
        """Which texts may leave, (texts,)."""
        if self.policy == "patience":
            return agreed >= self.threshold
        unsure = out["wrong"] if self.policy == "learned" else normalised_entropy(out["logits"])
        return unsure < self.threshold


def agreements(
    logits: np.ndarray, last: np.ndarray | None, agreed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many exits in a row have agreed, and what the last of them said (PABEE, Zhou et al. 2020).

    Args:
        logits: Of the next exit, (texts, labels); of one label, values.
        last: What the exit before said, (texts,); None before the first.
        agreed: How many in a row had agreed by then, (texts,).

    Returns:
        Both, with the next exit, (texts,) each.
    """
    answer = logits[:, 0] if logits.shape[-1] == 1 else logits.argmax(axis=-1)
    if last is None:
        return agreed, answer
    same = np.abs(answer - last) < (CLOSE if logits.shape[-1] == 1 else 0.5)
    return np.where(same, agreed + 1, 0), answer


def _onnx_session(path: Path, threads: int | None, precision: str) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given, made = ([port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs()))

    def run(batch: Arrays) -> Arrays:
        return dict(zip(made, session.run(made, {name: batch[name] for name in given}), strict=True))

    return run


def _openvino_session(path: Path, threads: int | None, precision: str) -> Session:
    import openvino

    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        **({} if threads is None else {"INFERENCE_NUM_THREADS": threads}),
    }
    core = openvino.Core()
    model = core.read_model(str(path))
    # a compiled model may give its ports further names, and any of them first
    given, made = ([port.get_any_name() for port in ports] for ports in (model.inputs, model.outputs))
    request = core.compile_model(model, "CPU", properties).create_infer_request()

    def run(batch: Arrays) -> Arrays:
        request.infer({name: batch[name] for name in given}, share_inputs=True)
        return {name: request.get_output_tensor(place).data.copy() for place, name in enumerate(made)}

    return run
