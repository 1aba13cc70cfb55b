"""The two quantisations of ONNX Runtime, each a function from one file to another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.export.cpu import X86, Cpu

if TYPE_CHECKING:
    import numpy as np


def write_dynamic(source: Path, target: Path, processor: Cpu, excluded: Sequence[str] = ()) -> str:
    """Quantise weights by channel to signed bytes, and activations by tensor to unsigned bytes at run time.

    Args:
        source: The float32 model.
        target: The file to write; its folder is used for a passing copy.
        processor: Decides whether weights get 7 bits.
        excluded: Names of nodes that stay in float.

    Returns:
        How it was made, for people.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # A Gemm is split into a MatMul of another name and an Add before names are compared.
    names = [*excluded, *(f"{name}_MatMul" for name in excluded)]
    with _plain(source, target) as plain:
        quantize_dynamic(
            plain,
            str(target),
            per_channel=True,
            reduce_range=processor.saturates_int8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=names,
        )
    _without_shapes(target, target)
    return f"dynamic, per channel, {weight_bits(processor)}-bit weights"


def write_static(
    source: Path,
    target: Path,
    samples: Sequence[dict[str, np.ndarray]],
    processor: Cpu,
    excluded: Sequence[str] = (),
) -> str:
    """Quantise as above, but with the activations' ranges fixed beforehand: the extremes over sample batches.

    Only the linears and the embedding tables are quantised (QDQ format); what a linear gives stays float32, so that
    its bias, the residual sum and the norm that follow lose nothing.

    Args:
        source: The float32 model.
        target: The file to write; its folder is used for a passing copy.
        samples: Batches of training texts.
        processor: Decides whether weights get 7 bits, and whether activations are unsigned (x86) or signed.
        excluded: Names of nodes that stay in float.

    Returns:
        How it was made, for people.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self, names: list[str]) -> None:
            self.batches = ({name: sample[name] for name in names} for sample in samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    linears = ["MatMul", "Gemm"]
    unsigned = processor.architecture in X86
    with _plain(source, target) as plain:
        quantize_static(
            plain,
            str(target),
            Samples(_inputs(plain)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*linears, "Gather"],
            per_channel=True,
            reduce_range=processor.saturates_int8,
            activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(excluded),
            extra_options={
                "MatMulConstBOnly": True,
                "OpTypesToExcludeOutputQuantization": linears,
            },
        )
    _without_shapes(target, target)
    signs = "unsigned" if unsigned else "signed"
    return (
        f"static, per channel, {weight_bits(processor)}-bit weights, {signs} activations calibrated on "
        f"{len(samples)} training texts"
    )


def weight_bits(processor: Cpu) -> int:
    """Return 8, or 7 where sums of products of bytes overflow 16 bits and scores collapse (onnxruntime#6004)."""
    return 7 if processor.saturates_int8 else 8


@contextmanager
def _plain(source: Path, target: Path) -> Iterator[str]:
    """Give a copy of the model without recorded shapes, as long as the block lasts.

    The quantiser transposes weights of Gemm in place, then trips over the shapes recorded for them before.
    """
    plain = target.with_name("plain.onnx")
    _without_shapes(source, plain)
    try:
        yield str(plain)
    finally:
        os.remove(plain)


def _without_shapes(source: Path, target: Path) -> None:
    """Copy a model without recorded shapes.

    Where ONNX Runtime (1.32) reads them it fuses the residual sum and the norm behind it into one operator, whose
    kernel takes several times as long as the two (docs/speed.md, "int8").
    """
    import onnx

    model = onnx.load(str(source))
    del model.graph.value_info[:]
    onnx.save(model, str(target))


def _inputs(path: str) -> list[str]:
    import onnx

    return [port.name for port in onnx.load(path, load_external_data=False).graph.input]
