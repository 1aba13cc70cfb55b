"""Eight-bit models: ONNX Runtime's dynamic quantisation, and NNCF's post-training quantisation for OpenVINO.

Neither is accepted here: the caller measures the score of what was written, with
`leanformer.export.runtimes.predict_with`, and decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.encoders.forms import PLAIN
from leanformer.errors import DataError, ModelError, first_line
from leanformer.export.cpu import Cpu, cpu
from leanformer.export.extras import require
from leanformer.export.layout import artefact, artefact_mb, find_artefact, staged
from leanformer.export.parity import spread
from leanformer.export.quiet import quietly
from leanformer.export.runtimes import arrays
from leanformer.tasks.encode import batches

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

CALIBRATION_ROWS = 300


@dataclass(frozen=True)
class Quantised:
    """An int8 model.

    Attributes:
        runtime: "onnxruntime" or "openvino".
        path: The file.
        size_mb: Its size with its weights.
        note: For people: how it was made, and which of the processor's flags decided that.
    """

    runtime: str
    path: Path
    size_mb: float
    note: str


def quantise_onnx(out: Path, processor: Cpu | None = None, form: str = PLAIN) -> Quantised:
    """Make `onnx/model_int8.onnx` of `onnx/model.onnx`: int8 weights by channel, activations scaled at run time.

    On x86 without VNNI, sums of products of bytes overflow 16 bits and scores collapse (onnxruntime#6004); weights
    then get 7 bits.

    Args:
        out: The folder that holds `onnx/`.
        processor: The processor to quantise for; this machine's by default.
        form: Which of `leanformer.encoders.forms.FORMS` to quantise; its files tell it by their name.

    Returns:
        What was written.

    Raises:
        ModelError: If there is no model to quantise, or it can not be quantised.
        LeanformerError: If ONNX Runtime is not installed.
    """
    require("onnx")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = find_artefact(out, "onnxruntime", "fp32", form)
    target = source.with_name(artefact(out, "onnxruntime", "int8", form).name)
    processor = cpu() if processor is None else processor
    seven_bits = processor.saturates_int8
    with staged(target.parent, last=target.name) as scratch, _telling(source, "onnxruntime"):
        graph = onnx.load(str(source))
        # The quantiser transposes weights of Gemm in place, then trips over the shapes recorded for them before.
        del graph.graph.value_info[:]
        onnx.save(graph, str(scratch / "plain.onnx"))
        quantize_dynamic(
            str(scratch / "plain.onnx"),
            str(scratch / target.name),
            per_channel=True,
            reduce_range=seven_bits,
            weight_type=QuantType.QInt8,
        )
        os.remove(scratch / "plain.onnx")
    seen = ", ".join(processor.features) or "none of the known flags"
    note = f"dynamic, per channel, {7 if seven_bits else 8}-bit weights ({processor.architecture}: {seen})"
    return Quantised("onnxruntime", target, artefact_mb(target), note)


def quantise_openvino(
    out: Path,
    calibration: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    rows: int = CALIBRATION_ROWS,
    form: str = PLAIN,
) -> Quantised:
    """Make `openvino/openvino_model_int8.xml` of `openvino/openvino_model.xml`, activations calibrated on texts.

    Args:
        out: The folder that holds `openvino/`.
        calibration: Encoded texts of the training data; never those that the score is reported on.
        tokenizer: The model's tokenizer.
        rows: How many of them are used, spread over the lengths.
        form: Which of `leanformer.encoders.forms.FORMS` to quantise; its files tell it by their name.

    Returns:
        What was written.

    Raises:
        DataError: If there is no text to calibrate on.
        ModelError: If there is no model to quantise, or it can not be quantised.
        LeanformerError: If OpenVINO or NNCF is not installed.
    """
    require("openvino")
    import nncf
    import openvino

    if len(calibration) == 0:
        raise DataError("int8 for OpenVINO is calibrated on training texts, and there are none")
    source = find_artefact(out, "openvino", "fp32", form)
    target = source.with_name(artefact(out, "openvino", "int8", form).name)
    texts = spread(calibration, rows)
    # One text a batch, so that padding does not enter the statistics.
    samples = [arrays(batch) for _, batch in batches(texts, tokenizer, 1)]
    with staged(target.parent, last=target.name) as scratch, _telling(source, "openvino"):
        model = openvino.Core().read_model(str(source))
        names = [port.get_any_name() for port in model.inputs]
        quantised = nncf.quantize(
            model,
            nncf.Dataset([{name: sample[name] for name in names} for sample in samples]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
        )
        openvino.save_model(quantised, str(scratch / target.name), compress_to_fp16=False)
    note = f"post-training, calibrated on {len(samples)} training texts"
    return Quantised("openvino", target, artefact_mb(target), note)


@contextmanager
def _telling(source: Path, runtime: str) -> Iterator[None]:
    """Keep the quantiser quiet, and make one sentence of what it raises."""
    try:
        with quietly(f"the quantisation of {source} for {runtime}"):
            yield
    except Exception as error:
        raise ModelError(f"{source} can not be quantised for {runtime}: {first_line(error)}") from error
