"""NNCF's post-training quantisation for OpenVINO, a function from one file to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.export.cpu import Cpu

if TYPE_CHECKING:
    import numpy as np
    from openvino import Model


def write_calibrated(
    source: Path,
    target: Path,
    samples: Sequence[dict[str, np.ndarray]],
    processor: Cpu,
    excluded: Sequence[str] = (),
) -> str:
    """Quantise weights and activations, the latter's ranges estimated on sample batches.

    Args:
        source: The float32 model.
        target: The file to write.
        samples: Batches of training texts.
        processor: Decides whether all weights get 7 bits; without VNNI scores collapse otherwise (nncf#1498).
        excluded: Names of nodes that stay in float.

    Returns:
        How it was made, for people.
    """
    import openvino

    note = f"post-training, {7 if processor.saturates_int8 else 8}-bit weights"
    quantised = _quantised(source, samples, processor, excluded)
    if _smooths_a_product(quantised):
        quantised = _quantised(source, samples, processor, excluded, smooth=False)
        note += ", without SmoothQuant"
    openvino.save_model(quantised, str(target), compress_to_fp16=False)
    return f"{note}, calibrated on {len(samples)} training texts"


def _quantised(
    source: Path,
    samples: Sequence[dict[str, np.ndarray]],
    processor: Cpu,
    excluded: Sequence[str],
    smooth: bool = True,
) -> Model:
    """Quantise in memory; `smooth` evens out ranges between activations and weights (Xiao et al. 2023)."""
    import nncf
    import openvino

    model = openvino.Core().read_model(str(source))
    names = [port.get_any_name() for port in model.inputs]
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE if processor.saturates_int8 else None  # None: NNCF's own choice
    )
    if not smooth:
        advanced.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=-1)
    return nncf.quantize(
        model,
        nncf.Dataset([{name: sample[name] for name in names} for sample in samples]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=list(excluded)),
        advanced_parameters=advanced,
    )


def _smooths_a_product(model: Model) -> bool:
    """Whether a product of two activations is scaled by channel right behind it, as SmoothQuant does.

    OpenVINO (2026.4) fuses the two and reads the scales out of bounds: answers are wrong, and differ from run to run.
    It happens where the attention of a layer has one head and one query left, so that nothing lies between
    the product and the scale.
    """
    return any(
        node.get_type_name() == "Multiply"
        and _is_a_constant(node.input_value(1))
        and math.prod(node.input_value(1).get_shape()) > 1
        and (product := node.input_value(0).get_node()).get_type_name() == "MatMul"
        and not any(_is_a_constant(one) for one in product.input_values())
        for node in model.get_ops()
    )


def _is_a_constant(value: Any) -> bool:
    return bool(value.get_node().get_type_name() == "Constant")
