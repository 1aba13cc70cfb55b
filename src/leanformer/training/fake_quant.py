"""Fake quantisation: a float32 model that computes with the rounding errors of its int8 export, and trains with them.

What is rounded is what ONNX Runtime's dynamic quantisation rounds: the weights of every linear (by output channel,
symmetric), what enters a linear and the tables of the embeddings (by tensor, unsigned with a zero point). Gradients
pass as if nothing had been rounded (the straight-through estimator, Bengio et al. 2013, arXiv 1308.3432; for networks
in int8, Jacob et al. 2018, arXiv 1712.05877).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from leanformer.encoders.carried_factors import LowRankLinear
from leanformer.encoders.view import EncoderView

LEVELS = {8: 127, 7: 64}
"""By bits of a weight, the largest integer: ONNX Runtime's own ranges."""


def rounded_weight(weight: Tensor, bits: int = 8) -> Tensor:
    """Round a weight as int8 by channel does.

    Args:
        weight: (out, in).
        bits: 8, or 7 for processors without VNNI.

    Returns:
        The same shape, each row on a symmetric grid of its own; the gradient passes unchanged.
    """
    with torch.no_grad():
        scale = weight.float().abs().amax(dim=1, keepdim=True) / LEVELS[bits]  # (out, 1)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        error = (weight / scale).round() * scale - weight
    return weight + error


def rounded_tensor(values: Tensor) -> Tensor:
    """Round a tensor as unsigned bytes with a zero point do, over its own extremes (ONNX's DynamicQuantizeLinear).

    Args:
        values: Any shape.

    Returns:
        The same shape and type; the gradient passes unchanged.
    """
    with torch.no_grad():
        exact = values.float()
        low, high = exact.amin().clamp(max=0), exact.amax().clamp(min=0)
        scale = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
        zero = (-low / scale).round()
        error = (((exact / scale).round() + zero).clamp(0, 255) - zero) * scale - exact
    return values + error.to(values.dtype)


@contextmanager
def fake_quantised(
    model: Any, bits: int = 8, float_sublayers: Collection[tuple[int, str]] = ()
) -> Iterator[None]:
    """Let a model compute as its int8 export would, for the length of a `with` block.

    Parameters, state-dict keys and hooks stay what they are; only how linears and embeddings compute changes.

    Args:
        model: A transformers encoder model of a supported family, dense or lean, with any task head.
        bits: Of the weights: 8, or 7 for processors without VNNI.
        float_sublayers: (layer, kind) of those that are not quantised; kind is "head" or "neuron".

    Yields:
        Nothing.

    Raises:
        ValueError: A model is fake-quantised already, has no such sub-layer, or there is no such number of bits.
    """
    if bits not in LEVELS:
        raise ValueError(f"Weights have 8 or 7 bits, not {bits}.")
    exempt = _linears_of(EncoderView(model), float_sublayers)
    changed: list[nn.Module] = []
    try:
        for module in model.modules():
            forward = None if module in exempt else _forward_of(module, bits)
            if forward is None:
                continue
            if "forward" in vars(module):
                raise ValueError("The model computes with another forward already; leave that context first.")
            module.forward = forward  # of this one module; its hooks still run
            changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward


def _forward_of(module: nn.Module, bits: int) -> Callable[[Tensor], Tensor] | None:
    """Return how a module computes in int8, or None where it does as before."""
    if isinstance(module, nn.Linear) and not isinstance(module, LowRankLinear):  # its two factors are linears

        def linear(states: Tensor, module: nn.Linear = module) -> Tensor:
            return functional.linear(rounded_tensor(states), rounded_weight(module.weight, bits), module.bias)

        return linear
    if isinstance(module, nn.Embedding):

        def look_up(ids: Tensor, module: nn.Embedding = module) -> Tensor:
            return functional.embedding(ids, rounded_tensor(module.weight), module.padding_idx)

        return look_up
    return None


def _linears_of(view: EncoderView, wanted: Collection[tuple[int, str]]) -> set[nn.Module]:
    """Return the linears of some sub-layers."""
    found: set[nn.Module] = set()
    for layer, kind in wanted:
        modules = view.linears(layer, kind) if 0 <= layer < view.n_layers else []
        if not modules:
            raise ValueError(f"The model has no sub-layer '{layer} {kind}'.")
        found.update(modules)
    return found
