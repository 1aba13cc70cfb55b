"""Scores and exports of models that exist already: runs, model folders, exported files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from leanformer.encoders.forms import PLAIN
from leanformer.errors import ModelError
from leanformer.exported import exported_file, open_exported
from leanformer.exports import write_exports
from leanformer.reading import encode_split, model_folder, ready_model, with_head
from leanformer.run import Facts
from leanformer.tasks.judged import labels_of
from leanformer.tasks.predict import Score, predict, score_logits

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.reading import Reading
    from leanformer.tasks.task import Task


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
    if (file := exported_file(Path(model))) is not None:
        opened = open_exported(file, data.task, reading.threads)
        encoded = encode_split(data, "validation", opened.shape, opened.tokenizer, reading)
        return _score(opened.answer(encoded), encoded, data.task)
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


def _score(logits: np.ndarray, encoded: Dataset, task: Task) -> Score:
    return score_logits(logits, labels_of(encoded), task)
