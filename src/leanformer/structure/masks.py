"""Masks over units and weights: what to keep (1) and what to remove (0)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from leanformer.encoders.carried_tokens import PARTS
from leanformer.encoders.view import MATRICES, EncoderView

UNITS = ("head", "neuron")
DIMENSIONS = QUERY_KEY, VALUE_OUTPUT = ("query_key", "value_output")
"""A dimension of a head's queries and keys; one of its values, with the column of the output linear that reads it."""

GATED = (*UNITS, *DIMENSIONS)
LAYER = "layer"
TOKEN = "token"
"""Equal parts of a text's length: as many as a mask keeps are left behind the layer's attention."""

# (layer, kind) -> mask; "head": (heads,), "neuron": (width,), "query_key": (heads * query_key_size,), "value_output":
# (heads * value_size,), these two head by head; "layer": (1,); "token": (PARTS,); a matrix' name: its own shape.
Masks = dict[tuple[int, str], Tensor]


def unit_counts(view: EncoderView, layer: int) -> dict[str, int]:
    """Return how many units of each kind of `GATED` a layer has; "query_key" only where the family can lose some."""
    heads = view.heads(layer)
    counts = {"head": heads, "neuron": view.width(layer), VALUE_OUTPUT: heads * view.value_size(layer)}
    return counts if view.family.fused else {**counts, QUERY_KEY: heads * view.query_key_size(layer)}


def _check_pairs(view: EncoderView, kind: str) -> None:
    if kind == QUERY_KEY and view.family.fused:
        raise ValueError(
            f"Queries and keys of {view.family.name} turn in pairs of dimensions (rotary positions), so it takes "
            f"no masks of '{kind}'; use '{VALUE_OUTPUT}' or 'head'."
        )


def check_masks(view: EncoderView, masks: Masks) -> None:
    """Check that each mask names a part that the model has and has its shape.

    Args:
        view: The model's view.
        masks: The masks.

    Raises:
        ValueError: A mask names no layer, no kind, or has another shape than what it masks.
    """
    for (layer, kind), mask in masks.items():
        if not 0 <= layer < view.n_layers:
            raise ValueError(f"A mask names layer {layer}, but the layers are 0 to {view.n_layers - 1}.")
        _check_pairs(view, kind)
        if kind in GATED:
            expected: tuple[int, ...] = (unit_counts(view, layer)[kind],)
        elif kind in (LAYER, TOKEN):
            expected = (PARTS if kind == TOKEN else 1,)
        elif kind in MATRICES:
            matrix = view.matrices(layer).get(kind)
            expected = (0,) if matrix is None else tuple(matrix.shape)
        else:
            raise ValueError(
                f"'{kind}' is no kind of mask; use one of {', '.join((*GATED, LAYER, TOKEN, *MATRICES))}."
            )
        if tuple(mask.shape) != expected:
            shape = tuple(mask.shape)
            raise ValueError(f"The {kind} mask of layer {layer} has shape {shape}, expected {expected}.")


Gate = Tensor | Callable[[], Tensor]
"""A gate, or what gives the one that is in force now."""


def _times(states: Tensor, gate: Gate, repeats: int) -> Tensor:
    """Multiply (batch, tokens, units * repeats) by a gate, (units,), or (batch, units) where each row has its own."""
    current = gate if isinstance(gate, Tensor) else gate()
    factor = current.to(states.device, states.dtype).repeat_interleave(repeats, dim=-1)
    return states * (factor if factor.ndim == 1 else factor[:, None])


def gated_linear(view: EncoderView, layer: int, kind: str) -> nn.Linear | None:
    """Return the linear at which units are gated.

    Args:
        view: The model's view.
        layer: Index of the layer.
        kind: One of `GATED`.

    Returns:
        The projection into queries, whose output is gated, for "query_key"; else the sub-layer's output linear, whose
        input is. None where the sub-layer is empty.

    Raises:
        ValueError: The family takes no masks of this kind.
    """
    _check_pairs(view, kind)
    if kind == QUERY_KEY:
        return view.query(layer)
    return view.ffn_out(layer) if kind == "neuron" else view.attention_out(layer)


def _gate(view: EncoderView, layer: int, kind: str, gate: Gate) -> RemovableHandle | None:
    """Hook a gate in, where there is what to gate."""
    repeats = view.value_size(layer) if kind == "head" else 1

    def multiply_output(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return _times(output, gate, repeats)

    def multiply_input(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_times(inputs[0], gate, repeats), *inputs[1:])

    linear = gated_linear(view, layer, kind)
    if linear is None:
        return None
    if kind == QUERY_KEY:  # a zero in a query takes its product with any key out of the scores
        return linear.register_forward_hook(multiply_output)
    return linear.register_forward_pre_hook(multiply_input)


@contextmanager
def _bypassed(layer: nn.Module, gate: Tensor) -> Iterator[None]:
    """Let a share of 1 - gate of the states pass by a layer."""

    def mix(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        before = given[0] if given else named["hidden_states"]
        after = output[0] if isinstance(output, tuple) else output
        share = gate.to(after.device, after.dtype)
        mixed = share * after + (1 - share) * before
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    handle = layer.register_forward_hook(mix, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _multiplied(matrix: Tensor, mask: Tensor) -> Iterator[None]:
    original = matrix.clone()
    try:
        matrix.mul_(mask.to(matrix.device, matrix.dtype))
        yield
    finally:
        matrix.copy_(original)


@contextmanager
def applied(model: Any, masks: Masks) -> Iterator[None]:
    """Mask a model for the length of a `with` block; on leaving, all weights are bitwise what they were.

    Masks of heads, values' dimensions and neurons are gates on the input of the sub-layer's output linear, those of
    queries' dimensions on the queries; a layer's mask mixes what it gives with what it was given: all these may be
    any float and may require a gradient. Matrix masks multiply the weights in place, so changes made to these
    weights inside the block are lost.

    Args:
        model: A transformers encoder model of a supported family.
        masks: The masks to apply.

    Yields:
        Nothing.

    Raises:
        ValueError: A mask does not fit the model.
    """
    view = EncoderView(model)
    check_masks(view, masks)
    with ExitStack() as stack:
        stack.enter_context(gated(view, {key: mask for key, mask in masks.items() if key[1] in GATED}))
        for (layer, kind), mask in masks.items():
            if kind == LAYER:
                stack.enter_context(_bypassed(view.layers[layer], mask))
            elif kind in MATRICES and mask.numel():
                stack.enter_context(_multiplied(view.matrices(layer)[kind], mask))
        yield


@contextmanager
def gated(view: EncoderView, gates: Mapping[tuple[int, str], Gate]) -> Iterator[None]:
    """Multiply what heads, their dimensions and neurons give, for the length of a `with` block.

    Args:
        view: The model's view.
        gates: By (layer, kind) with a kind of `GATED`, (units,), or (batch, units) for gates of each row's own; any
            float, and they may require a gradient. What is no tensor is called for one in each forward pass. An empty
            sub-layer has nothing to gate.

    Yields:
        Nothing.

    Raises:
        ValueError: The family takes no masks of a kind.
    """
    with ExitStack() as stack:
        for (layer, kind), gate in gates.items():
            if (handle := _gate(view, layer, kind, gate)) is not None:
                stack.callback(handle.remove)
        yield


@torch.no_grad()
def make_permanent(model: Any, masks: Masks) -> None:
    """Multiply matrices of the model by their masks, in place and for good.

    Args:
        model: A transformers encoder model of a supported family.
        masks: Masks of matrices only; units are removed by `surgery.slice_units`.

    Raises:
        ValueError: A mask does not fit the model, or is one of units.
    """
    view = EncoderView(model)
    check_masks(view, masks)
    if units := sorted({kind for _, kind in masks} - set(MATRICES)):
        raise ValueError(f"Only matrix masks can be made permanent; surgery removes {units[0]} units.")
    for (layer, kind), mask in masks.items():
        if mask.numel():
            matrix = view.matrices(layer)[kind]
            matrix.mul_(mask.to(matrix.device, matrix.dtype))


def kept_layers(masks: Masks, n_layers: int) -> list[int]:
    """Return the layers that masks keep, by their numbers from 0.

    Args:
        masks: Masks of any kind.
        n_layers: Layers of the dense model.

    Returns:
        The layers that no mask of kind "layer" removes.
    """
    return [
        layer for layer in range(n_layers) if (layer, LAYER) not in masks or bool(masks[layer, LAYER].any())
    ]
