"""Masks over units and weights: what to keep (1) and what to remove (0)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from leanformer.encoders.view import MATRICES, EncoderView

UNITS = ("head", "neuron")

# (layer, kind) -> mask; kind "head": (heads,), "neuron": (width,), a matrix name: the matrix' own shape.
Masks = dict[tuple[int, str], Tensor]


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
        if kind == "head":
            expected: tuple[int, ...] = (view.heads(layer),)
        elif kind == "neuron":
            expected = (view.width(layer),)
        elif kind in MATRICES:
            matrix = view.matrices(layer).get(kind)
            expected = (0,) if matrix is None else tuple(matrix.shape)
        else:
            raise ValueError(f"'{kind}' is no kind of mask; use one of {', '.join((*UNITS, *MATRICES))}.")
        if tuple(mask.shape) != expected:
            shape = tuple(mask.shape)
            raise ValueError(f"The {kind} mask of layer {layer} has shape {shape}, expected {expected}.")


def _gate_hook(gate: Tensor, repeats: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    """Make a hook that multiplies a linear's input (..., len(gate) * repeats) by the gate."""

    def multiply(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        states = inputs[0]
        factor = gate.to(states.device, states.dtype).repeat_interleave(repeats)
        return (states * factor, *inputs[1:])

    return multiply


@contextmanager
def _gated(linear: nn.Linear | None, gate: Tensor, repeats: int) -> Iterator[None]:
    if linear is None:  # an empty sub-layer has no unit to gate
        yield
        return
    handle = linear.register_forward_pre_hook(_gate_hook(gate, repeats))
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

    Head and neuron masks are gates on the input of the sub-layer's output linear: they may be any float and
    may require a gradient. Matrix masks multiply the weights in place, so changes made to these weights
    inside the block are lost.

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
        for (layer, kind), mask in masks.items():
            if kind == "head":
                stack.enter_context(_gated(view.attention_out(layer), mask, view.head_size))
            elif kind == "neuron":
                stack.enter_context(_gated(view.ffn_out(layer), mask, 1))
            elif mask.numel():
                stack.enter_context(_multiplied(view.matrices(layer)[kind], mask))
        yield


@torch.no_grad()
def make_permanent(model: Any, masks: Masks) -> None:
    """Multiply matrices of the model by their masks, in place and for good.

    Args:
        model: A transformers encoder model of a supported family.
        masks: Masks of matrices only; heads and neurons are removed by `surgery.slice_units`.

    Raises:
        ValueError: A mask does not fit the model, or is one of heads or neurons.
    """
    view = EncoderView(model)
    check_masks(view, masks)
    if units := sorted({kind for _, kind in masks} & set(UNITS)):
        raise ValueError(f"Only matrix masks can be made permanent; slice_units removes {units[0]} units.")
    for (layer, kind), mask in masks.items():
        if mask.numel():
            matrix = view.matrices(layer)[kind]
            matrix.mul_(mask.to(matrix.device, matrix.dtype))
