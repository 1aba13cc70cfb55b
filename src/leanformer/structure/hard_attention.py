"""Hard attention: queries that attend to the few tokens they like most (AxFormer, Nagarajan et al. 2020)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from leanformer.encoders.carried import harden_attention
from leanformer.encoders.lean import config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import layer_shapes

TOP = 30
"""Tokens a query, "works well for all the GLUE tasks" (the public code's README)."""


@contextmanager
def hardened(model: Any, layers: Collection[int], top: int = TOP) -> Iterator[None]:
    """Let some layers of a model attend hard for the length of a `with` block.

    Args:
        model: A transformers encoder model of a supported family.
        layers: The layers; those without heads stay as they are.
        top: Tokens a query.

    Yields:
        Nothing.

    Raises:
        ModelError: The family's attention can not be exchanged.
    """
    view = EncoderView(model)
    chosen: list[Any] = [
        view.layers[layer].get_submodule(view.family.attention) for layer in layers if view.heads(layer)
    ]
    if chosen:
        _check(view)
    before = [(attention, attention.config, getattr(attention, "hard_top", None)) for attention in chosen]
    try:
        for layer in layers:
            if view.heads(layer):
                harden_attention(view.layers[layer], view.family, top)
        yield
    finally:
        for attention, config, usual_top in before:
            attention.config = config
            if usual_top is None:
                del attention.hard_top
            else:  # it was hard before
                attention.hard_top = usual_top


def with_hard_attention(model: Any, layers: Collection[int], top: int = TOP) -> Any:
    """Return a copy of a model some of whose layers attend hard, for good: it is saved and exported so.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        layers: The layers.
        top: Tokens a query.

    Returns:
        A lean model, in the mode and on the device of the given one; it shares no weights with it.

    Raises:
        ModelError: The family's attention can not be exchanged.
    """
    view = EncoderView(model)
    _check(view)
    shapes = layer_shapes(view)
    for layer, shape in enumerate(shapes):
        if layer in layers or view.hard_attention(layer) is None:
            shape["hard_attention"] = top if layer in layers and view.heads(layer) else 0
    lean_class = lean_class_for(model)
    config = config_for(lean_class, model.config, per_layer_config=dict(enumerate(shapes)))
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return rebuild(model, lean_class, config, state)


def _check(view: EncoderView) -> None:
    if view.family.shared_bias:
        raise ModelError(
            f"The attention of {view.family.name} can not be made hard: it is written out in one piece. Use a method "
            "without hard attention, or another model."
        )
