"""Lean models in this process: after importing this module, AutoModel loads compressed folders."""

from __future__ import annotations

import threading
from typing import Any

import transformers
from torch import Tensor
from transformers.initialization import no_init_weights

from leanformer.encoders.carried import LEAN_CLASSES, TASKS, Family, LeanModel
from leanformer.encoders.families import family_of
from leanformer.encoders.sentence import (
    KEY,
    SUFFIX,
    Pooling,
    bare_class,
    embedder_class,
    is_embedder,
    pooling_fields,
)
from leanformer.errors import ModelError

# One entry a layer: {"num_attention_heads": 3, "intermediate_size": 200}, as in `config.json`.
Shapes = list[dict[str, Any]]

# `no_init_weights` replaces torch's initialisers for all threads; two at once would leave them replaced for good.
_BUILDING = threading.Lock()


def register_lean_classes() -> None:
    """Register the lean classes with transformers; saving one of them then carries its code along."""
    for classes in LEAN_CLASSES.values():
        config_class = classes["AutoConfig"]
        transformers.AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        for auto, made in classes.items():
            made.register_for_auto_class(auto)
            if auto != "AutoConfig":
                getattr(transformers, auto).register(config_class, made, exist_ok=True)


register_lean_classes()


def auto_class_of(model: Any, family: Family) -> str:
    """Return the auto class that stands for a model's class.

    Args:
        model: A transformers model, stock or lean.
        family: Its family.

    Returns:
        For example "AutoModelForSequenceClassification"; for sentence embeddings, which have no auto class, what the
        names of their classes end with.

    Raises:
        ModelError: The task head is not supported.
    """
    if is_embedder(model):
        return SUFFIX
    for auto, suffix in TASKS.items():
        if type(model).__name__ in (family.prefix + suffix, family.class_name(suffix)):
            return auto
    heads = ", ".join(family.prefix + suffix for suffix in TASKS.values())
    raise ModelError(f"Models of class {type(model).__name__} can not be made smaller; use one of: {heads}.")


def lean_class_for(model: Any) -> Any:
    """Return the lean class with the same task head as a model.

    Args:
        model: A transformers model, stock or lean.

    Returns:
        The class; the model's own where it is lean already.

    Raises:
        ModelError: The architecture or the task head is not supported.
    """
    family = family_of(model.config)
    if is_embedder(model):
        return embedder_class(family, lean=True)
    return LEAN_CLASSES[family.name][auto_class_of(model, family)]


def stock_class_for(model: Any) -> Any:
    """Return transformers' own class with the same task head as a model.

    Args:
        model: A transformers model, stock or lean.

    Returns:
        The class.

    Raises:
        ModelError: The architecture or the task head is not supported.
    """
    family = family_of(model.config)
    if is_embedder(model):
        return embedder_class(family, lean=False)
    return getattr(transformers, family.prefix + TASKS[auto_class_of(model, family)])


def as_embedder(model: Any, pooling: Pooling) -> Any:
    """Return a bare encoder as a model of sentence embeddings; weights are shared with it.

    Args:
        model: What `AutoModel` loads, stock or lean.
        pooling: How it pools.

    Returns:
        The model; its `logits` are the vectors, (batch, hidden).

    Raises:
        ModelError: The architecture is not supported.
    """
    family = family_of(model.config)
    made = embedder_class(family, lean=isinstance(model, LeanModel))
    return _of_class(model, made, **{KEY: pooling_fields(pooling)})


def without_pooling(model: Any) -> Any:
    """Return a model of sentence embeddings as the bare encoder; weights are shared with it.

    Args:
        model: Made by `as_embedder`, or from such a model.

    Returns:
        What `AutoModel` would load; its configuration still says how it was pooled.
    """
    return _of_class(model, bare_class(model))


def afresh(model: Any) -> Any:
    """Return a model without what calls have left on it; weights are shared.

    A call that asks transformers for hidden states leaves hooks for good, which can not travel to another machine.

    Args:
        model: Stock or lean.

    Returns:
        One of the same class.
    """
    return rebuild(model, type(model), model.config, model.state_dict())


def _of_class(model: Any, made: Any, **changes: Any) -> Any:
    """Return a model as one of another class of the same shapes; weights are shared with it."""
    shapes = model.config.to_dict().get("per_layer_config")
    changes |= {"per_layer_config": shapes} if shapes else {}
    return rebuild(model, made, config_for(made, model.config, **changes), model.state_dict())


def config_for(model_class: Any, config: Any, **changes: Any) -> Any:
    """Return a configuration of a model class with the values of another one of the same family.

    Args:
        model_class: A lean or a stock model class.
        config: The configuration to take the values from.
        **changes: Values to set, such as `intermediate_size`.

    Returns:
        The new configuration.
    """
    values = config.to_dict()
    for key in ("model_type", "architectures", "auto_map", "per_layer_config", "transformers_version"):
        values.pop(key, None)
    if issubclass(model_class, LeanModel):
        classes = LEAN_CLASSES[family_of(config).name]
        values["auto_map"] = {auto: f"carried.{made.__name__}" for auto, made in classes.items()}
    values["attn_implementation"] = config._attn_implementation
    return model_class.config_class(**{**values, **changes})


def rebuild(model: Any, model_class: Any, config: Any, state: dict[str, Tensor]) -> Any:
    """Return a model of another class and shape, in the mode and on the device of a model.

    Args:
        model: The model whose mode, device and trainable parameters the new one takes over.
        model_class: The class of the new model.
        config: Its configuration.
        state: Its complete state dict; the tensors are taken over, not copied.

    Returns:
        The new model.
    """
    with _BUILDING, no_init_weights():
        made = model_class(config)
    made.load_state_dict(state, strict=True, assign=True)
    made.tie_weights()
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(name in trainable)
    return made.to(model.device).train(model.training)
