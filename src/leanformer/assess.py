"""Scores and exports of models that exist already: runs, model folders, exported files."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from leanformer.encoders.forms import FORMS, PLAIN
from leanformer.errors import ModelError, first_line
from leanformer.export.layout import FILES, file_name
from leanformer.export.loading import load_config
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.exports import write_exports
from leanformer.reading import encode_split, model_folder, ready_model, with_head
from leanformer.run import Facts
from leanformer.tasks.head_labels import AUTO_CLASSES, bears_head, head_mismatch, label_order
from leanformer.tasks.judged import labels_of
from leanformer.tasks.predict import Score, predict, score_logits

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.reading import Reading
    from leanformer.tasks.task import Task, TaskData


def evaluate(model: str, reading: Reading) -> Score:
    """Score a model on the validation rows.

    Args:
        model: A run directory, a model folder or hub id, or an exported folder or file.
        reading: The data.

    Returns:
        The score with its interval.

    Raises:
        LeanformerError: If the data or the model can not be used.
    """
    reading = reading.beside(model)
    data = reading.load(model)
    exported = _exported_file(Path(model))
    if exported is not None:
        return _evaluate_exported(exported, data, reading)
    loaded, tokenizer = with_head(model_folder(model), data.task, reading)
    torch.set_num_threads(reading.threads or 1)
    encoded = encode_split(data, "validation", loaded, tokenizer, reading)
    return _score(predict(loaded, encoded, tokenizer, stage="Evaluation"), encoded, data.task)


def export(
    model: str, folder: str, int8: bool, out: Path | None, reading: Reading, form: str = PLAIN
) -> list[Facts]:
    """Write a model for another runtime.

    Args:
        model: A run directory, or a model folder or hub id.
        folder: "onnx" or "openvino".
        int8: Whether to quantise too; needs data.
        out: Where the `onnx` or `openvino` folder is put; beside or in the model by default.
        reading: The data that scores are measured on; not needed for fp32.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        One dictionary a variant, see `leanformer.exports.write_exports`.

    Raises:
        LeanformerError: If the model can not be exported, the data can not be used, or nothing says where the
            export of a hub model goes.
    """
    reading = reading.beside(model)
    source = model_folder(model)
    if out is None and not Path(model).is_dir():
        # A folder of a hub model's name would from then on be taken for the model.
        raise ModelError(f"there is no folder {model} that its export could lie in: name one with --out")
    target = out or Path(model)
    if not int8 and reading.spec is None:
        return write_exports(Path(source), target, folder, int8=False, examples=None, form=form)
    data = reading.load(model)
    with tempfile.TemporaryDirectory(prefix="leanformer-") as scratch:
        ready, examples = ready_model(source, data, reading, Path(scratch))
        return write_exports(ready, target, folder, int8, examples, form)


def _exported_file(path: Path) -> tuple[Path, str, str] | None:
    """Return the exported file that a path means, with runtime and precision; None for a PyTorch model."""
    if path.is_dir() and any(path.glob("*.safetensors")):
        return None
    for form, (runtime, precision) in product(FORMS, FILES):
        name = file_name(runtime, precision, form)
        file = path if path.name == name else path / name
        if file.is_file():
            return file, runtime, precision
    return None


def _evaluate_exported(exported: tuple[Path, str, str], data: TaskData, reading: Reading) -> Score:
    import transformers

    path, runtime, precision = exported
    config = load_config(path.parent)
    if config.architectures and not bears_head(config, data.task.kind):
        raise ModelError(f"{path} has no head for a {data.task.kind} task: choose another model")
    if mismatch := head_mismatch(config, data.task):
        raise ModelError(f"the head of {path} does not match the data: {mismatch}; choose another model")
    tokenizer = _tokenizer_beside(path)
    with torch.device("meta"):
        shape = getattr(transformers, AUTO_CLASSES[data.task.kind]).from_config(
            config
        )  # says how long a text may be
    encoded = encode_split(data, "validation", shape, tokenizer, reading)
    runner = load_runner(path, runtime, precision, reading.threads)
    logits = predict_with(runner, encoded, tokenizer)
    order = label_order(config, data.task)
    return _score(logits if order is None else logits[..., order], encoded, data.task)


def _tokenizer_beside(path: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path.parent)
    except Exception as error:  # tokenizers raise plain Exception for a broken file
        raise ModelError(
            f"the tokenizer in {path.parent} can not be loaded ({first_line(error)}): export the model again"
        ) from error


def _score(logits: np.ndarray, encoded: Dataset, task: Task) -> Score:
    return score_logits(logits, labels_of(encoded), task)
