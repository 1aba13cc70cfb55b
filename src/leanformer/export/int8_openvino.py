"""NNCF's post-training quantisation for OpenVINO, a function from one file to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.export.cpu import Cpu

if TYPE_CHECKING:
    import numpy as np


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
    import nncf
    import openvino

    model = openvino.Core().read_model(str(source))
    names = [port.get_any_name() for port in model.inputs]
    fix = nncf.OverflowFix.ENABLE if processor.saturates_int8 else None  # None: NNCF's own choice
    quantised = nncf.quantize(
        model,
        nncf.Dataset([{name: sample[name] for name in names} for sample in samples]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=list(excluded)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    )
    openvino.save_model(quantised, str(target), compress_to_fp16=False)
    bits = 7 if processor.saturates_int8 else 8
    return f"post-training, {bits}-bit weights, calibrated on {len(samples)} training texts"
