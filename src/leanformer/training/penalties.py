"""What open gates cost while they train: a weight of the paper's own, or multipliers that lead to a target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

Key = tuple[int, str]


class Penalty(nn.Module, ABC):
    """What open gates cost; its parameters, where it has any, are multipliers that ascend."""

    @abstractmethod
    def forward(self, probabilities: Mapping[Key, Tensor], progress: float) -> Tensor:
        """Return the cost.

        Args:
            probabilities: P(z != 0) of all gates.
            progress: Share of the training that is done, from 0 to 1.

        Returns:
            A scalar.
        """


class ExpectedOpen(Penalty):
    """lambda * sum P(z != 0), the expected L0 norm (Voita et al. 2019, arXiv 1905.09418, equation 9)."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, probabilities: Mapping[Key, Tensor], progress: float) -> Tensor:
        """Return the weighted sum."""
        return self.weight * torch.stack([open_.sum() for open_ in probabilities.values()]).sum()


class TowardsShare(Penalty):
    """l1 (s - t) + l2 (s - t)^2 with multipliers that ascend, after FLOP (Wang et al. 2020, arXiv 1910.04732).

    s is the expected share of open gates by cost, t falls in a straight line to its end over the first part.

    Args:
        share: Of the cost that may stay open in the end.
        costs: Of one unit, by kind.
        ramp: Part of the training in which the target falls.
    """

    def __init__(self, share: float, costs: Mapping[str, float], ramp: float = 0.5) -> None:
        super().__init__()
        self.share, self.costs, self.ramp = share, dict(costs), ramp
        self.multipliers = nn.Parameter(torch.zeros(2))

    def target(self, progress: float) -> float:
        """Return the share that is aimed at."""
        return 1.0 - (1.0 - self.share) * min(1.0, progress / self.ramp)

    def forward(self, probabilities: Mapping[Key, Tensor], progress: float) -> Tensor:
        """Return the Lagrangian's terms."""
        open_ = torch.stack([self.costs[kind] * p.sum() for (_, kind), p in probabilities.items()]).sum()
        whole = sum(self.costs[kind] * len(p) for (_, kind), p in probabilities.items())
        missed = open_ / whole - self.target(progress)
        return self.multipliers[0] * missed + self.multipliers[1] * missed.square()


class Ramped(Penalty):
    """lambda(t) R, R the mean over groups of their mean P(z != 0): of movement pruning and of robust tickets.

    Args:
        weight: lambda in the end.
        start: Share of the training in which lambda is zero.
        end: Share of the training from which it is whole; between the two it grows in a straight line.
    """

    def __init__(self, weight: float, start: float, end: float) -> None:
        super().__init__()
        self.weight, self.start, self.end = weight, start, end

    def forward(self, probabilities: Mapping[Key, Tensor], progress: float) -> Tensor:
        """Return the weighted mean."""
        grown = min(1.0, max(0.0, (progress - self.start) / (self.end - self.start)))
        return self.weight * grown * torch.stack([open_.mean() for open_ in probabilities.values()]).mean()


class LayerMass(Penalty):
    """lambda * sum over layers l = 1, 2, ... of l * ||r_l||_1 (PoWER-BERT, Goyal et al. 2020, equation 2).

    Args:
        weight: lambda, for the mean of r_l instead of its sum, which depends on how many factors a layer has.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, probabilities: Mapping[Key, Tensor], progress: float) -> Tensor:
        """Return the weighted sum."""
        return (
            self.weight
            * torch.stack([(layer + 1) * r.mean() for (layer, _), r in probabilities.items()]).sum()
        )
