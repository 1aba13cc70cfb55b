"""Gates that learn nothing themselves: a mask over units whose importance the gradients of a loss tell (GRAIN)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from leanformer.structure.masks import QUERY_KEY, VALUE_OUTPUT, Masks
from leanformer.training.penalties import Key
from leanformer.training.straight_through import Scored, SelectedGates, Selection

LOWEST = torch.finfo(torch.float32).min
"""Of what is the next to close. What is closed has minus infinity, below it, so that nothing ever comes back."""


class Watched(Scored):
    """A 0/1 mask of units, and their importance: a moving average of |dL/dz|.

    With z the mask, |dL/dz_j| = |sum_i W_ij dL/dW_ij| over the weights of the unit behind its gate: GRAIN's scores of
    value dimensions and neurons from the output matrices' columns, of query-key dimensions from the queries' rows and
    bias.

    Args:
        size: How many units.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(size))
        self.register_buffer("scores", torch.zeros(size))
        self.seen = torch.ones(size)

    def forward(self) -> Tensor:
        """Return the mask, (units,), as a leaf of the graph whose gradient can be asked for."""
        self.seen = self.mask.clone().requires_grad_(True)
        return self.seen

    def open_probability(self) -> Tensor:
        """Return the mask: nothing is drawn."""
        return self.mask


class WatchedGates(SelectedGates):
    """Gates under a selection that follows the importance of what they mask; what is closed stays closed.

    Args:
        gates: By (layer, kind): query-key and value dimensions, and neurons.
        selection: Which of them are open.
        costs: By kind, what one unit costs.
        heads: By layer, how many heads its dimensions belong to.
        decay: Of the moving average, in (0, 1).
        density_scale: alpha of tanh(density / alpha), by which the values of a head are multiplied: heads that are
            half empty lose, so that few and full ones stay.
        refreshes: How often in a training the selection is made.
    """

    def __init__(
        self,
        gates: Mapping[Key, Watched],
        selection: Selection,
        costs: Mapping[str, float],
        heads: Mapping[int, int],
        decay: float,
        density_scale: float,
        refreshes: int,
    ) -> None:
        super().__init__(gates, 0.0, selection, costs, refreshes)
        self.heads, self.decay, self.density_scale = dict(heads), decay, density_scale

    def watch(self, loss: Tensor) -> None:
        """Move the averages by what one batch says; see `Gates.watch`."""
        keyed = dict(self.each())
        gradients = torch.autograd.grad(loss, [gate.seen for gate in keyed.values()], retain_graph=True)
        with torch.no_grad():
            for (key, gate), gradient in zip(keyed.items(), gradients, strict=True):
                importance = gradient.abs().float()
                if key[1] == VALUE_OUTPUT:
                    importance *= self._fullness(gate.mask, self.heads[key[0]])
                gate.scores.lerp_(importance, 1.0 - self.decay)
                gate.scores.masked_fill_(gate.mask == 0, -torch.inf)

    @torch.no_grad()
    def select(self, progress: float) -> None:
        """Close what the selection says; the queries of a head without values are the next to go."""
        keyed = dict(self.each())
        for (layer, kind), gate in keyed.items():
            if kind == QUERY_KEY and (layer, VALUE_OUTPUT) in keyed:
                live = keyed[layer, VALUE_OUTPUT].mask.view(self.heads[layer], -1).any(dim=1)
                each = len(gate.mask) // self.heads[layer]
                gate.scores.masked_fill_(~live.repeat_interleave(each) & (gate.mask > 0), LOWEST)
        super().select(progress)
        for gate in keyed.values():
            gate.scores.masked_fill_(gate.mask == 0, -torch.inf)

    def masks(self) -> Masks:
        """Return what is open now; the queries of a head without values are closed, too."""
        masks = super().masks()
        for (layer, kind), mask in masks.items():
            if kind == QUERY_KEY:
                live = masks[layer, VALUE_OUTPUT].view(self.heads[layer], -1).any(dim=1).float()
                mask *= live.repeat_interleave(len(mask) // self.heads[layer])
        return masks

    def _fullness(self, mask: Tensor, heads: int) -> Tensor:
        """tanh(density of its head / alpha) for each value dimension."""
        density = mask.view(heads, -1).mean(dim=1)
        return torch.tanh(density / self.density_scale).repeat_interleave(len(mask) // heads)
