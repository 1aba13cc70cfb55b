"""A model for other runtimes: written, proven equal, and in int8 only where the measured score holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.encoders.forms import PLAIN
from leanformer.errors import LeanformerError
from leanformer.export.exporters import Exported, export_onnx, export_openvino, remove_int8
from leanformer.export.extras import has_runtime
from leanformer.export.layout import FOLDERS
from leanformer.export.loading import load_classifier
from leanformer.export.parity import max_difference
from leanformer.export.quantise import quantise_onnx, quantise_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sensitivity import HeldOut, Quantiser, quantise_within
from leanformer.progress import say
from leanformer.report.runtimes import FALLEN_POINTS
from leanformer.tasks.judged import labels_of
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
        calibration: Encoded held-out rows: int8 on OpenVINO is calibrated on them, and int8 is accepted by its score
            on them, so that nothing is chosen on what is reported.
    """

    task: Task
    tokenizer: PreTrainedTokenizerBase
    validation: Dataset
    calibration: Dataset


def installed(folder: str) -> bool:
    """Whether the packages behind "onnx" or "openvino" are installed; nothing is imported."""
    return has_runtime(RUNTIME_OF[folder])


def write_exports(
    model: Path,
    out: Path,
    folder: str,
    int8: bool,
    examples: Examples | None,
    form: str = PLAIN,
    max_drop_points: float = FALLEN_POINTS,
) -> list[dict[str, Any]]:
    """Write a model for one runtime, in fp32 and where wanted in int8.

    Args:
        model: The model's Hugging Face folder.
        out: Where the `onnx` or `openvino` folder is put.
        folder: "onnx" or "openvino".
        int8: Whether to quantise too.
        examples: Rows to measure scores on; int8 needs them, fp32 is proven on a few sentences without.
        form: One of `leanformer.encoders.forms.FORMS`.
        max_drop_points: What int8 may lose on the calibration rows.

    Returns:
        One dictionary a variant: runtime, precision, form, path under `out`, size_mb, score (None without
        examples), max_difference (largest difference of a logit from PyTorch), accepted; int8 also: note,
        float_sublayers ([layer, "head" or "neuron"] each). Where int8 loses more than it may on the calibration rows,
        sub-layers return to float until it does not; where that never holds, the file is
        removed again and the row, not accepted, is of plain int8.

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
    return [fp32, _int8(model, out, folder, examples, form, max_drop_points)] if int8 and examples else [fp32]


def _int8(
    model: Path, out: Path, folder: str, examples: Examples, form: str, max_drop_points: float
) -> dict[str, Any]:
    """Quantise what was written as far as its score holds; where it does not, measure plain int8 and remove it."""
    runtime, rows, tokenizer = RUNTIME_OF[folder], examples.calibration, examples.tokenizer
    torch_model, _ = load_classifier(model)
    reference = predict(torch_model, rows, tokenizer)
    held_out = HeldOut(rows, tokenizer, examples.task.metric, reference, max_drop_points)
    quantiser = _quantiser(out, folder, examples, form)
    kept = False
    try:
        within = quantise_within(quantiser, out, runtime, held_out, form)
        made = within.quantised or quantiser(float_sublayers=(), into=out)
        runner = load_runner(made.path, runtime, made.precision)
        difference, _ = max_difference(torch_model, runner, examples.validation, tokenizer)
        score = _score(predict_with(runner, examples.validation, tokenizer), examples.validation, examples)
        kept = within.quantised is not None
    finally:  # nor does an interruption leave what was not judged
        if not kept:
            remove_int8(out, runtime, form)
    note = made.note
    if made.float_sublayers:
        note += f", {len(made.float_sublayers)} of {len(within.ranking)} sub-layers stayed in float"
    if not kept:
        lost = (
            f"is {within.loss.divergence:.2g} {'in 1 - cosine' if held_out.kind == 'embedding' else 'nats'} from fp32"
            if held_out.few
            else f"scores {within.loss.drop_points:.1f} points below fp32"
        )
        say(f"{folder} int8 {lost} on held-out training rows, even with all layers in float: it is not kept")
    return {
        "runtime": runtime,
        "precision": made.precision,
        "form": form,
        "path": str(made.path.relative_to(out)),
        "size_mb": made.size_mb,
        "score": score,
        "max_difference": difference,
        "accepted": kept,
        "note": note,
        "float_sublayers": [list(sublayer) for sublayer in made.float_sublayers],
    }


def _quantiser(out: Path, folder: str, examples: Examples, form: str) -> Quantiser:
    if folder == "onnx":
        return partial(quantise_onnx, out, form=form)
    return partial(quantise_openvino, out, examples.calibration, examples.tokenizer, form=form)


def _score(logits: np.ndarray, rows: Dataset, examples: Examples) -> float:
    return score_of(examples.task.metric, logits, labels_of(rows))
