"""Scores that add up gradients as they are: plain gradient descent, beside the weights' own optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from leanformer.training.penalties import Key
from leanformer.training.straight_through import SelectedGates, Selection, StraightThrough


class Summed(StraightThrough):
    """A 0/1 mask whose scores its gates keep: S = -sum over steps of dL/dM (Sanh et al. 2020, equation 4).

    Args:
        shape: Of what is masked.
        block: See `StraightThrough`.
    """

    def __init__(self, shape: tuple[int, ...], block: tuple[int, ...] | None = None) -> None:
        super().__init__(shape, block)
        scores = self.scores.detach()
        del self.scores
        self.register_buffer("scores", scores)
        self.seen = self.mask

    def forward(self) -> Tensor:
        """Return the mask, of the given shape; each block's entry is a leaf whose gradient can be asked for."""
        self.seen = self.mask.clone().requires_grad_(True)
        return self.spread(self.seen)


class SummedGates(SelectedGates):
    """Gates under a selection that follows scores which no optimiser touches.

    Adam gives every score a step of the same length, however small its gradient: over the few hundred steps of a
    recovery that is next to a random walk. And what it is to step by would count in the norm by which the gradient of
    the weights is clipped.

    Args:
        gates: By (layer, kind).
        selection: Which of them are open.
        costs: By kind, what one weight or unit costs.
        refreshes: How often in a training the selection is made.
    """

    def __init__(
        self, gates: Mapping[Key, Summed], selection: Selection, costs: Mapping[str, float], refreshes: int
    ) -> None:
        super().__init__(gates, 0.0, selection, costs, refreshes)

    def watch(self, loss: Tensor) -> None:
        """Add what one batch says; see `Gates.watch`."""
        gates: list[Any] = list(self.gates)
        gradients = torch.autograd.grad(loss, [gate.seen for gate in gates], retain_graph=True)
        with torch.no_grad():
            for gate, gradient in zip(gates, gradients, strict=True):
                gate.scores.sub_(gradient.float())
