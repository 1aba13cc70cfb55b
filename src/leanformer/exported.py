"""An exported file as it lies on the disk, asked without the model that it was made of."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.answering import Answer
from leanformer.encoders.forms import FORMS
from leanformer.errors import ModelError, first_line
from leanformer.export.layout import FILES, file_name
from leanformer.export.loading import load_config
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.tasks.head_labels import AUTO_CLASSES, bears_head, head_mismatch, label_order

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.tasks.task import Task


class ExportedFile(NamedTuple):
    """Where an exported model lies, and what runs it.

    Attributes:
        path: The file.
        runtime: "onnxruntime" or "openvino".
        precision: One that the runtime has.
    """

    path: Path
    runtime: str
    precision: str


class Opened(NamedTuple):
    """An exported model that is ready to answer.

    Attributes:
        answer: Gives the logits on encoded rows, its classes in the task's order.
        tokenizer: The tokenizer beside the file.
        shape: Its model without weights, which says how long a text may be.
    """

    answer: Answer
    tokenizer: PreTrainedTokenizerBase
    shape: PreTrainedModel


def exported_file(path: Path) -> ExportedFile | None:
    """Return the exported file that a path means; None for a PyTorch model.

    Args:
        path: A file, or the folder of one.

    Returns:
        The file, with runtime and precision.
    """
    if path.is_dir() and any(path.glob("*.safetensors")):
        return None
    for form, (runtime, precision) in product(FORMS, FILES):
        name = file_name(runtime, precision, form)
        file = path if path.name == name else path / name
        if file.is_file():
            return ExportedFile(file, runtime, precision)
    return None


def open_exported(file: ExportedFile, task: Task, threads: int | None = None) -> Opened:
    """Make an exported file ready to answer a task's texts.

    Args:
        file: The file, beside its config.json and its tokenizer.
        task: The task.
        threads: Processor threads.

    Returns:
        What answers.

    Raises:
        ModelError: If the file can not be opened, or its head does not fit the task.
        LeanformerError: If its runtime is not installed.
    """
    import torch
    import transformers

    config = load_config(file.path.parent)
    if config.architectures and not bears_head(config, task.kind):
        raise ModelError(f"{file.path} has no head for a {task.kind} task: choose another model")
    if mismatch := head_mismatch(config, task):
        raise ModelError(f"the head of {file.path} does not match the data: {mismatch}; choose another model")
    tokenizer = _tokenizer_beside(file.path)
    with torch.device("meta"):
        shape = getattr(transformers, AUTO_CLASSES[task.kind]).from_config(config)
    runner = load_runner(*file, threads)
    order = label_order(config, task)

    def answer(rows: Dataset) -> NDArray[np.floating]:
        logits = predict_with(runner, rows, tokenizer)
        return logits if order is None else logits[..., order]

    return Opened(answer, tokenizer, shape)


def _tokenizer_beside(path: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path.parent)
    except Exception as error:  # tokenizers raise plain Exception for a broken file
        raise ModelError(
            f"the tokenizer in {path.parent} can not be loaded ({first_line(error)}): export the model again"
        ) from error
