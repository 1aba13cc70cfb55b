"""Gates on single weights: a linear that computes with W * M, and gradients for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from leanformer.encoders.families import linear_paths
from leanformer.encoders.view import MATRICES, EncoderView

WeightGate = Callable[[], Tensor]


@contextmanager
def weights_gated(view: EncoderView, gates: Mapping[tuple[int, str], WeightGate]) -> Iterator[None]:
    """Multiply weights by gates whenever a linear computes, for the length of a `with` block.

    Parameters, state-dict keys and hooks stay what they are; only how these linears compute changes.

    Args:
        view: The model's view.
        gates: By (layer, name of a matrix), what gives the gate that is in force now: of the matrix's own shape;
            it may require a gradient.

    Yields:
        Nothing.

    Raises:
        ValueError: A linear computes in another way already, for example fake-quantised.
    """
    changed: list[nn.Linear] = []
    try:
        for layer in range(view.n_layers):
            for linear, names in linears_of_matrices(view, layer).items():
                here = [gates.get((layer, name)) for name in names]
                if not any(here):
                    continue
                if "forward" in vars(linear):
                    raise ValueError(
                        "The model computes with another forward already; leave that context first."
                    )
                module: Any = linear
                module.forward = _forward(linear, here)
                changed.append(linear)
        yield
    finally:
        for linear in changed:
            del linear.forward


def linears_of_matrices(view: EncoderView, layer: int) -> dict[nn.Linear, list[str]]:
    """Return the linears of a layer with the names of the matrices in each: three where a family fuses them."""
    present, family = view.matrices(layer), view.family
    found: dict[nn.Linear, list[str]] = {}
    for kind in ("head", "neuron"):
        for path, linear in zip(linear_paths(family, kind), view.linears(layer, kind), strict=False):
            found[linear] = [name for name in MATRICES if name in present and getattr(family, name) == path]
    return found


def _forward(linear: nn.Linear, gates: list[WeightGate | None]) -> Callable[[Tensor], Tensor]:
    """Return how a linear computes with the gates of its matrices, stacked from the top; None leaves one as it is."""

    def gated(states: Tensor) -> Tensor:
        parts = linear.weight.chunk(len(gates))
        weights = [
            part if gate is None else part * gate().to(part.dtype)
            for part, gate in zip(parts, gates, strict=True)
        ]
        return functional.linear(states, torch.cat(weights) if len(weights) > 1 else weights[0], linear.bias)

    return gated
