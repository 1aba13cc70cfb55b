"""Eight-bit models: ONNX Runtime's dynamic and static quantisation, and NNCF's for OpenVINO.

None is accepted here: the caller measures the score of what was written, and decides; `leanformer.export.sensitivity`
does so, and returns sub-layers to float until the score holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from leanformer.encoders.forms import PLAIN
from leanformer.errors import DataError, ModelError, first_line
from leanformer.export.cpu import Cpu, cpu
from leanformer.export.extras import require
from leanformer.export.int8_onnx import write_dynamic, write_static
from leanformer.export.int8_openvino import write_calibrated
from leanformer.export.layout import FOLDERS, artefact, artefact_mb, find_artefact, staged
from leanformer.export.parity import spread
from leanformer.export.quiet import quietly
from leanformer.export.runtimes import arrays
from leanformer.export.sublayers import Sublayer, node_names, nodes_of, sublayers
from leanformer.runtime.cascade import chain_files, description, open_session, part_file
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
        precision: "int8", or "int8-static".
        float_sublayers: The sub-layers that stayed in float.
    """

    runtime: str
    path: Path
    size_mb: float
    note: str
    precision: str = "int8"
    float_sublayers: tuple[Sublayer, ...] = ()


def quantise_onnx(
    out: Path,
    processor: Cpu | None = None,
    float_sublayers: Sequence[Sublayer] = (),
    into: Path | None = None,
    form: str = PLAIN,
) -> Quantised:
    """Make `onnx/model_int8.onnx` of `onnx/model.onnx`: int8 weights by channel, activations scaled at run time.

    On x86 without VNNI, sums of products of bytes overflow 16 bits and scores collapse (onnxruntime#6004); weights
    then get 7 bits.

    Args:
        out: The folder that holds `onnx/`.
        processor: The processor to quantise for; this machine's by default.
        float_sublayers: Those that are not quantised.
        into: The folder in which `onnx/model_int8.onnx` is written; `out` by default.
        form: Which of `leanformer.encoders.forms.FORMS` to quantise; its files tell it by their name.

    Returns:
        What was written.

    Raises:
        ModelError: If there is no model to quantise, it can not be quantised, or has no such sub-layer.
        LeanformerError: If ONNX Runtime is not installed.
    """
    require("onnx")
    return _written(out, into, ("onnxruntime", "int8"), write_dynamic, processor, float_sublayers, form)


def quantise_onnx_static(
    out: Path,
    calibration: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    rows: int = CALIBRATION_ROWS,
    processor: Cpu | None = None,
    float_sublayers: Sequence[Sublayer] = (),
    into: Path | None = None,
    form: str = PLAIN,
) -> Quantised:
    """Make `onnx/model_int8_static.onnx` of `onnx/model.onnx`, activations calibrated on texts.

    Args:
        out: The folder that holds `onnx/`.
        calibration: Encoded texts of the training data; never those that the score is reported on.
        tokenizer: The model's tokenizer.
        rows: How many of them are used, spread over the lengths.
        processor: The processor to quantise for; this machine's by default.
        float_sublayers: Those that are not quantised.
        into: The folder in which `onnx/model_int8_static.onnx` is written; `out` by default.
        form: Which of `leanformer.encoders.forms.FORMS` to quantise; its files tell it by their name.

    Returns:
        What was written.

    Raises:
        DataError: If there is no text to calibrate on.
        ModelError: If there is no model to quantise, it can not be quantised, or has no such sub-layer.
        LeanformerError: If ONNX Runtime is not installed.
    """
    require("onnx")
    samples = _samples(calibration, tokenizer, rows, "static int8 for ONNX Runtime")
    variant = ("onnxruntime", "int8-static")
    return _written(out, into, variant, write_static, processor, float_sublayers, form, samples)


def quantise_openvino(
    out: Path,
    calibration: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    rows: int = CALIBRATION_ROWS,
    processor: Cpu | None = None,
    float_sublayers: Sequence[Sublayer] = (),
    into: Path | None = None,
    form: str = PLAIN,
) -> Quantised:
    """Make `openvino/openvino_model_int8.xml` of `openvino/openvino_model.xml`, activations calibrated on texts.

    Args:
        out: The folder that holds `openvino/`.
        calibration: Encoded texts of the training data; never those that the score is reported on.
        tokenizer: The model's tokenizer.
        rows: How many of them are used, spread over the lengths.
        processor: The processor to quantise for; this machine's by default.
        float_sublayers: Those that are not quantised.
        into: The folder in which `openvino/openvino_model_int8.xml` is written; `out` by default.
        form: Which of `leanformer.encoders.forms.FORMS` to quantise; its files tell it by their name.

    Returns:
        What was written.

    Raises:
        DataError: If there is no text to calibrate on.
        ModelError: If there is no model to quantise, it can not be quantised, or has no such sub-layer.
        LeanformerError: If OpenVINO or NNCF is not installed.
    """
    require("openvino")
    samples = _samples(calibration, tokenizer, rows, "int8 for OpenVINO")
    variant = ("openvino", "int8")
    return _written(out, into, variant, write_calibrated, processor, float_sublayers, form, samples)


def _samples(
    calibration: Dataset, tokenizer: PreTrainedTokenizerBase, rows: int, purpose: str
) -> list[dict[str, Any]]:
    """Return batches of one text each, so that padding does not enter the statistics."""
    if len(calibration) == 0:
        raise DataError(f"{purpose} is calibrated on training texts, and there are none")
    return [arrays(batch) for _, batch in batches(spread(calibration, rows), tokenizer, 1)]


def _written(
    out: Path,
    into: Path | None,
    variant: tuple[str, str],
    write: Callable[..., str],
    processor: Cpu | None,
    float_sublayers: Sequence[Sublayer],
    form: str,
    samples: list[dict[str, Any]] | None = None,
) -> Quantised:
    """Write into a scratch folder, quietly, and move into place; of a chain each part."""
    runtime, precision = variant
    source = find_artefact(out, runtime, "fp32", form)
    name = artefact(out, runtime, precision, form).name
    target = source.with_name(name) if into is None else into / FOLDERS[runtime] / name
    excluded = nodes_of(sublayers(source), float_sublayers, source) if float_sublayers else []
    processor = cpu() if processor is None else processor
    with staged(target.parent, last=target.name) as scratch:
        try:
            with quietly(f"the quantisation of {source} for {runtime}"):
                chain = chain_files(source)
                for number, part in enumerate(chain):
                    samples = _behind(chain[number - 1], samples) if number and samples else samples
                    names = set(node_names(part)) if excluded else set()
                    own = [name for name in excluded if name in names]
                    given = {} if samples is None else {"samples": samples}
                    made = part_file(scratch / target.name, number)
                    note = write(part, made, processor=processor, excluded=own, **given)
                if description(source).is_file():
                    copyfile(description(source), description(scratch / target.name))
        except Exception as error:
            raise ModelError(f"{source} can not be quantised for {runtime}: {first_line(error)}") from error
    seen = ", ".join(processor.features) or "none of the known flags"
    note = f"{note} ({processor.architecture}: {seen})"
    kept = tuple(sorted(float_sublayers))
    return Quantised(runtime, target, artefact_mb(target), note, precision, kept)


def _behind(part: Path, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a part of a chain hands on to the next, for each sample."""
    session = open_session(part)
    return [
        {"inputs_embeds": session(sample)["states"], "attention_mask": sample["attention_mask"]}
        for sample in samples
    ]
