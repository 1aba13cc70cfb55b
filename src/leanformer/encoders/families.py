"""Which model families the library knows, and which one a configuration belongs to."""

from __future__ import annotations

from typing import Any

from leanformer.encoders.carried import FAMILIES, MODEL_TYPE_PREFIX, Family
from leanformer.errors import ModelError

__all__ = ["FAMILIES", "Family", "family_of", "is_lean", "linear_paths", "supported"]


def supported() -> tuple[str, ...]:
    """Return the `model_type` of every supported family."""
    return tuple(FAMILIES)


def is_lean(config: Any) -> bool:
    """Whether the configuration is one of a compressed model, with sizes by layer."""
    return str(config.model_type).startswith(MODEL_TYPE_PREFIX)


def family_of(config: Any) -> Family:
    """Return the family of a transformers configuration, dense or lean.

    Args:
        config: A transformers `PreTrainedConfig`.

    Returns:
        The family's table.

    Raises:
        ModelError: The architecture is not supported, or is used as a decoder.
    """
    name = str(config.model_type).removeprefix(MODEL_TYPE_PREFIX)
    if name not in FAMILIES:
        raise ModelError(
            f"The architecture '{name}' is not supported; use a model of one of these: "
            f"{', '.join(supported())}."
        )
    if getattr(config, "is_decoder", False):
        raise ModelError(f"This '{name}' model is a decoder (is_decoder); only encoders can be compressed.")
    return FAMILIES[name]


def linear_paths(family: Family, kind: str) -> tuple[str, ...]:
    """Return where the linears of a sub-layer are.

    Args:
        family: The family's table.
        kind: "head" for attention, "neuron" for the FFN.

    Returns:
        Paths relative to the layer, each once, in the order of execution.
    """
    if kind == "head":
        return tuple(dict.fromkeys((family.query, family.key, family.value, family.attention_out)))
    return family.ffn_in, family.ffn_out
