"""A model for other runtimes: written, proven equal, and in int8 only where the measured score holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.encoders.forms import PLAIN
from leanformer.errors import LeanformerError
from leanformer.export.exporters import Exported, export_onnx, export_openvino, remove_int8
from leanformer.export.extras import PACKAGES
from leanformer.export.layout import FOLDERS
from leanformer.export.loading import load_classifier
from leanformer.export.parity import max_difference
from leanformer.export.quantise import Quantised, quantise_onnx, quantise_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.progress import say
from leanformer.report.runtimes import FALLEN_POINTS
from leanformer.tasks.metrics import score as score_of
from leanformer.tasks.predict import predict

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.tasks.task import Task

RUNTIME_OF = {folder: runtime for runtime, folder in FOLDERS.items()}
_WRITERS: dict[str, Callable[..., Exported]] = {"onnx": export_onnx, "openvino": export_openvino}


@dataclass(frozen=True)
class Examples:
    """Rows to judge an exported model on.

    Attributes:
        task: What the model answers.
        tokenizer: Its tokenizer.
        validation: Encoded rows that the reported scores are measured on.
        calibration: Encoded training rows: int8 on OpenVINO is calibrated on them, and int8 is accepted by its score
            on them, so that nothing is chosen on what is reported.
    """

    task: Task
    tokenizer: PreTrainedTokenizerBase
    validation: Dataset
    calibration: Dataset


def installed(folder: str) -> bool:
    """Whether the packages behind "onnx" or "openvino" are installed; nothing is imported."""
    packages = PACKAGES["onnx" if folder == "onnx" else "openvino"]
    return all(find_spec(package) is not None for package in packages)


def write_exports(
    model: Path, out: Path, folder: str, int8: bool, examples: Examples | None, form: str = PLAIN
) -> list[dict[str, Any]]:
    """Write a model for one runtime, in fp32 and where wanted in int8.

    Args:
        model: The model's Hugging Face folder.
        out: Where the `onnx` or `openvino` folder is put.
        folder: "onnx" or "openvino".
        int8: Whether to quantise too.
        examples: Rows to measure scores on; int8 needs them, fp32 is proven on a few sentences without.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        One dictionary a variant: runtime, precision, form, path under `out`, size_mb, score (None without examples),
        max_difference (largest difference of a logit from PyTorch), accepted. An int8 model that scores more
        than one point below PyTorch on the calibration rows is removed again and not accepted.

    Raises:
        LeanformerError: If `folder` is neither, int8 is wanted without examples, the packages are not installed,
            or the model can not be exported.
    """
    if folder not in _WRITERS:
        raise LeanformerError(f"there is no export format '{folder}': choose one of {', '.join(_WRITERS)}")
    if int8 and examples is None:
        raise LeanformerError("int8 is accepted by its measured score only: add --data")
    runtime = RUNTIME_OF[folder]
    written = _WRITERS[folder](model, out, examples.validation if examples else None, form)
    score = None
    if examples is not None:
        runner = load_runner(written.path, runtime, "fp32")
        logits = predict_with(runner, examples.validation, examples.tokenizer)
        score = _score(logits, examples.validation, examples)
    fp32 = {
        "runtime": runtime,
        "precision": "fp32",
        "form": form,
        "path": str(written.path.relative_to(out)),
        "size_mb": written.size_mb,
        "score": score,
        "max_difference": written.max_difference,
        "accepted": True,
    }
    return [fp32, _int8(model, out, folder, examples, form)] if int8 and examples else [fp32]


def _int8(model: Path, out: Path, folder: str, examples: Examples, form: str) -> dict[str, Any]:
    """Quantise what was written, and keep it if its score holds."""
    runtime = RUNTIME_OF[folder]
    if folder == "onnx":
        made = quantise_onnx(out, form=form)
    else:
        made = quantise_openvino(out, examples.calibration, examples.tokenizer, form=form)
    kept = False
    try:
        path = str(made.path.relative_to(out))
        row = {**_judged(model, made, examples), "form": form, "path": path}
        kept = row["accepted"]
    finally:  # nor does an interruption leave what was not judged
        if not kept:
            remove_int8(out, runtime, form)
    return row


def _judged(model: Path, made: Quantised, examples: Examples) -> dict[str, Any]:
    """Measure an int8 model, and decide by its score on training rows whether it is kept."""
    torch_model, _ = load_classifier(model)
    runner = load_runner(made.path, made.runtime, "int8")
    difference, _ = max_difference(torch_model, runner, examples.validation, examples.tokenizer)
    score = _score(
        predict_with(runner, examples.validation, examples.tokenizer), examples.validation, examples
    )
    quantised = _score(
        predict_with(runner, examples.calibration, examples.tokenizer), examples.calibration, examples
    )
    reference = _score(
        predict(torch_model, examples.calibration, examples.tokenizer), examples.calibration, examples
    )
    lost_points = 100 * (reference - quantised)
    accepted = bool(lost_points <= FALLEN_POINTS)
    if not accepted:
        say(
            f"{FOLDERS[made.runtime]} int8 scores {lost_points:.1f} points below fp32 on held-out training rows: "
            "it is not kept"
        )
    return {
        "runtime": made.runtime,
        "precision": "int8",
        "size_mb": made.size_mb,
        "score": score,
        "max_difference": difference,
        "accepted": accepted,
        "note": made.note,
    }


def _score(logits: np.ndarray, rows: Dataset, examples: Examples) -> float:
    return score_of(examples.task.metric, logits, np.asarray(rows["label"][:]))
