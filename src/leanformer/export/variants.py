"""Every runnable form of a model, made when it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.encoders.forms import PLAIN
from leanformer.errors import DataError
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.layout import artefact
from leanformer.export.quantise import quantise_onnx, quantise_onnx_static, quantise_openvino

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


def ensure_artefact(
    model_folder: str | Path,
    out: Path,
    runtime: str,
    precision: str,
    tokenizer: PreTrainedTokenizerBase,
    texts: Dataset | None = None,
    calibration: Dataset | None = None,
    form: str = PLAIN,
) -> Path:
    """Return the exported file of a runtime, precision and form; make it (and what it is made of) when it is missing.

    Args:
        model_folder: The model's Hugging Face folder.
        out: The folder that holds, or will hold, `onnx/` and `openvino/` of this model.
        runtime: "onnxruntime" or "openvino".
        precision: "fp32", "bf16" (which has the file of fp32), "int8", or for ONNX Runtime "int8-static".
        tokenizer: The model's tokenizer.
        texts: Encoded texts to prove a fresh export on.
        calibration: Encoded training texts; needed for int8 on OpenVINO, and for "int8-static".
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        The file.

    Raises:
        DataError: If calibrated int8 has to be made without calibration texts.
    """
    path = artefact(out, runtime, precision, form)
    if path.is_file():
        return path
    if precision.startswith("int8"):
        ensure_artefact(model_folder, out, runtime, "fp32", tokenizer, texts, form=form)
        if (runtime, precision) == ("onnxruntime", "int8"):
            return quantise_onnx(out, form=form).path
        if calibration is None:
            raise DataError(
                f"{precision} for {runtime} is calibrated on training texts: give training data, or export "
                f"{model_folder} with --int8 first"
            )
        quantise = quantise_openvino if runtime == "openvino" else quantise_onnx_static
        return quantise(out, calibration, tokenizer, form=form).path
    export = export_onnx if runtime == "onnxruntime" else export_openvino
    return export(model_folder, out, texts, form).path
