"""Gates that are exactly 0 or 1 and learn as if they were not: movement scores and what they keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leanformer.structure.masks import Masks
from leanformer.training.gates import Gate, Gates
from leanformer.training.penalties import Key, Penalty
from leanformer.training.schedule import cubic_ratio

MOMENTS = 1000
"""Schedules count steps; a training's progress is a share."""


class Scored(Gate):
    """A 0/1 mask, and the scores by which a selection makes it.

    Attributes:
        mask: What is open now.
        scores: Of the mask's shape; high stays.
    """

    mask: Tensor
    scores: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """Return values of the scores' shape as one of each unit: as they are, where each has its own."""
        return values

    def sizes(self) -> Tensor:
        """Return how many weights, or units, each score stands for, of the scores' shape."""
        return torch.ones_like(self.mask)


class StraightThrough(Scored):
    """A 0/1 mask whose gradient goes to scores, as if the mask were the scores.

    dL/dS := dL/dM = sum over the block of dL/dW' * W (movement pruning, Sanh et al. 2020, arXiv 2005.07683,
    equation 3): a score sinks where the weight moves towards zero.

    Args:
        shape: Of what is masked.
        block: Rows and columns that share a score, for matrices; a last block may be smaller.
    """

    def __init__(self, shape: tuple[int, ...], block: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.block = (1,) * len(shape) if block is None else block
        scored = [-(-size // step) for size, step in zip(shape, self.block, strict=True)]
        self.scores = nn.Parameter(torch.zeros(scored))
        self.register_buffer("mask", torch.ones(scored))

    def forward(self) -> Tensor:
        """Return the mask, of the given shape, with the gradient of the scores."""
        return self.spread(self.mask + (self.scores - self.scores.detach()))

    def spread(self, values: Tensor) -> Tensor:
        """Repeat the blocks' values, (blocks of rows, blocks of columns) or (units,), to the given shape."""
        for axis, (size, step) in enumerate(zip(self.shape, self.block, strict=True)):
            if step > 1:
                values = values.repeat_interleave(step, dim=axis).narrow(axis, 0, size)
        return values

    def sizes(self) -> Tensor:
        """Return the sizes of the blocks; see `Scored.sizes`."""
        sizes = torch.ones(())
        for size, step in zip(self.shape, self.block, strict=True):
            starts = torch.arange(0, size, step)
            sizes = sizes[..., None] * (size - starts).clamp(max=step).float()
        return sizes

    def open_probability(self) -> Tensor:
        """Return the sigmoid of the scores, which the soft variant's penalty counts."""
        return self.scores.sigmoid()


class Selection(ABC):
    """Which gates are open, by their scores and the training's progress."""

    @abstractmethod
    def __call__(self, scores: Mapping[Key, Tensor], costs: Mapping[Key, Tensor], progress: float) -> Masks:
        """Select.

        Args:
            scores: Of all gates; high stays.
            costs: What each gate removes when it closes, of the scores' shapes.
            progress: Share of the training that is done.

        Returns:
            0/1 masks of the scores' shapes.
        """


@dataclass(frozen=True)
class Ramp:
    """A cubic ramp over a training, with what holds before and after it.

    Attributes:
        start: Share of the training before which the initial value, 0, holds.
        end: Share of the training from which the final value holds.
        final: That value.
    """

    start: float
    end: float
    final: float

    def at(self, progress: float) -> float:
        """Return the value at a share of the training."""
        step, start, end = (round(MOMENTS * share) for share in (progress, self.start, self.end))
        return cubic_ratio(step, start, end, 0.0, self.final)


@dataclass(frozen=True)
class TopOfEach(Selection):
    """Each group keeps the same share of its gates, those of the highest scores (hard movement pruning).

    Attributes:
        removed: The share that is closed.
    """

    removed: Ramp

    def __call__(self, scores: Mapping[Key, Tensor], costs: Mapping[Key, Tensor], progress: float) -> Masks:
        """Select; the gates that stay are at least as many as the share asks for."""
        share = self.removed.at(progress)
        return {
            key: top(score, score.numel() - int(share * score.numel() + 1e-6))
            for key, score in scores.items()
        }


@dataclass(frozen=True)
class TopOfAll(Selection):
    """One cut through all gates: those of the lowest scores close until their costs add up to the share.

    GRAIN (Yang et al. 2023), its global selection.

    Attributes:
        removed: The share of the whole cost that is closed.
    """

    removed: Ramp

    def __call__(self, scores: Mapping[Key, Tensor], costs: Mapping[Key, Tensor], progress: float) -> Masks:
        """Select; the share is met to within the cost of one gate, from below."""
        flat = torch.cat([score.flatten() for score in scores.values()])
        paid = torch.cat([costs[key].flatten() for key in scores]).double()
        order = flat.argsort(stable=True)
        allowed = self.removed.at(progress) * paid.sum() * (1 + 1e-9)
        closed = int(torch.searchsorted(paid[order].cumsum(0), allowed, right=True))
        mask = torch.ones_like(flat)
        mask[order[:closed]] = 0.0
        parts = mask.split([score.numel() for score in scores.values()])
        return {key: part.view_as(scores[key]) for key, part in zip(scores, parts, strict=True)}


@dataclass(frozen=True)
class AboveThreshold(Selection):
    """sigmoid(S) > tau (soft movement pruning); how many stay is the penalty's affair.

    Attributes:
        tau: The threshold.
    """

    tau: Ramp

    def __call__(self, scores: Mapping[Key, Tensor], costs: Mapping[Key, Tensor], progress: float) -> Masks:
        """Select."""
        tau = self.tau.at(progress)
        return {key: (score.sigmoid() > tau).float() for key, score in scores.items()}


def top(scores: Tensor, kept: int) -> Tensor:
    """Return the 0/1 mask that keeps exactly so many of the highest scores, of their shape."""
    mask = torch.zeros(scores.numel(), device=scores.device)
    mask[scores.flatten().topk(kept, sorted=False).indices] = 1.0
    return mask.view_as(scores)


class SelectedGates(Gates):
    """Gates with scores and a mask, under a selection that follows a schedule.

    Args:
        gates: By (layer, kind).
        learning_rate: Of the scores.
        selection: Which of them are open.
        costs: By kind, what one weight or unit costs.
        refreshes: How often in a training the selection is made.
        penalty: What open gates cost; nothing by default.
    """

    def __init__(
        self,
        gates: Mapping[Key, Scored],
        learning_rate: float,
        selection: Selection,
        costs: Mapping[str, float],
        refreshes: int,
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__(gates, learning_rate, penalty)
        self.moment: Tensor
        self.selection, self.refreshes = selection, refreshes
        self.costs = {key: costs[key[1]] * gate.sizes() for key, gate in gates.items()}
        self.register_buffer("moment", torch.tensor(-1))  # of the last selection: checkpoints keep it

    def advance(self, progress: float) -> None:
        """Select anew when the next of the moments has come."""
        if (moment := int(progress * self.refreshes)) != int(self.moment):
            self.moment.fill_(moment)
            self.select(progress)

    @torch.no_grad()
    def select(self, progress: float) -> None:
        """Open and close the gates as the selection says at a share of the training."""
        scores = {key: gate.scores.detach().cpu() for key, gate in self.each()}
        masks = self.selection(scores, self.costs, progress)
        for key, gate in self.each():
            gate.mask.copy_(masks[key])

    def masks(self) -> Masks:
        """Return what is open now, in the shapes of what is masked."""
        return {key: gate.spread(gate.mask).clone() for key, gate in self.each()}
