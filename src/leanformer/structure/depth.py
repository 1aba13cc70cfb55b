"""Depth: a model without some of its layers, with the outputs of the one that passes them by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leanformer.encoders.families import is_lean
from leanformer.encoders.lean import config_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import layer_shapes


def keep_layers(model: Any, kept: Sequence[int]) -> Any:
    """Return a copy of a model that has only some of its layers.

    Args:
        model: A transformers encoder model of a supported family, stock or lean; it is left as it is.
        kept: The layers to keep, rising numbers from 0; at least one.

    Returns:
        A model of the same class, in the mode and on the device of the given one; it shares no weights with it.

    Raises:
        ModelError: The architecture is not supported, or can not do without its first layer.
        ValueError: The layers are none, do not rise, or are not the model's.
    """
    view = EncoderView(model)
    if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < view.n_layers:
        raise ValueError(
            f"The layers to keep, {list(kept)}, are not rising numbers from 0 to {view.n_layers - 1}."
        )
    if view.family.pre_norm and kept[0] != 0:
        raise ModelError(
            f"The first layer of {type(model).__name__} can not be dropped: what it reads is normalised before it, "
            "what the others read is not; keep it."
        )
    places = {old: new for new, old in enumerate(kept)}
    base = "" if model.base_model is model else f"{model.base_model_prefix}."
    prefix = f"{base}{view.family.layers}."
    state = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(prefix):
            number, _, rest = name.removeprefix(prefix).partition(".")
            if int(number) not in places:
                continue
            name = f"{prefix}{places[int(number)]}.{rest}"
        state[name] = tensor.detach().clone()
    config = config_for(type(model), model.config, **_changes(model, view, kept))
    return rebuild(model, type(model), config, state)


def _changes(model: Any, view: EncoderView, kept: Sequence[int]) -> dict[str, Any]:
    """What is different in the configuration of a model of fewer layers."""
    config = model.config
    changes: dict[str, Any] = {config.attribute_map.get("num_hidden_layers", "num_hidden_layers"): len(kept)}
    if getattr(config, "layer_types", None):
        changes["layer_types"] = [config.layer_types[layer] for layer in kept]
    if is_lean(config):
        shapes = layer_shapes(view)
        changes["per_layer_config"] = dict(enumerate(shapes[layer] for layer in kept))
    return changes
