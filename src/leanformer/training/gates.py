"""Trainable gates: what stays is learned along with the weights, under a penalty or towards a target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import Masks, gated, unit_counts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Key = tuple[int, str]
LOW, HIGH = -0.1, 1.1  # the stretch (gamma, zeta) of all published uses
EPSILON = 1e-6


class HardConcrete(nn.Module):
    """Gates that are exactly 0 or 1 with a probability above zero (Louizos et al. 2018, arXiv 1712.01312).

    While training z = clip(s (zeta - gamma) + gamma, 0, 1), s = sigmoid((log u - log(1 - u) + log_alpha) / beta) with
    u ~ U(0, 1); in eval mode s = sigmoid(log_alpha).

    Args:
        size: How many gates.
        beta: Temperature.
        log_alpha: Where all of them start.
    """

    def __init__(self, size: int, beta: float, log_alpha: float = 0.0) -> None:
        super().__init__()
        self.beta = beta
        self.log_alpha = nn.Parameter(torch.full((size,), float(log_alpha)))

    def forward(self) -> Tensor:
        """Return the gates, (size,), in [0, 1]; drawn anew in training mode."""
        logits: Tensor = self.log_alpha
        if self.training:
            noise = torch.rand_like(logits).clamp(EPSILON, 1 - EPSILON)
            logits = (noise.log() - (-noise).log1p() + logits) / self.beta
        return (logits.sigmoid() * (HIGH - LOW) + LOW).clamp(0.0, 1.0)

    def open_probability(self) -> Tensor:
        """Return P(z != 0) while training, (size,): sigmoid(log_alpha - beta log(-gamma / zeta))."""
        return (self.log_alpha - self.beta * math.log(-LOW / HIGH)).sigmoid()


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


class UnitGates(nn.Module):
    """One hard-concrete gate for each unit of some kinds of a model.

    It becomes a part of the model while it trains, so that checkpoints hold it.

    Args:
        view: The model.
        kinds: Which units have gates.
        beta: Temperature.
        log_alpha: Where all gates start.
        learning_rate: Of the gates, and of the penalty's multipliers.
        penalty: What open gates cost.
    """

    def __init__(
        self,
        view: EncoderView,
        kinds: tuple[str, ...],
        beta: float,
        log_alpha: float,
        learning_rate: float,
        penalty: Penalty,
    ) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.penalty = penalty
        wanted: dict[Key, int] = {
            (layer, kind): count
            for layer in range(view.n_layers)
            for kind, count in unit_counts(view, layer).items()
            if count and kind in kinds
        }
        self.keys = list(wanted)
        self.gates = nn.ModuleList(HardConcrete(count, beta, log_alpha) for count in wanted.values())

    def each(self) -> Iterator[tuple[Key, Any]]:
        """Go through (layer, kind) and its `HardConcrete`."""
        return zip(self.keys, self.gates, strict=True)

    def values(self) -> Masks:
        """Return all gates, drawn anew in training mode."""
        return {key: gate() for key, gate in self.each()}

    def open_probabilities(self) -> dict[Key, Tensor]:
        """Return P(z != 0) of all gates."""
        return {key: gate.open_probability() for key, gate in self.each()}

    def cost(self, progress: float) -> Tensor:
        """Return what is added to the loss, at a share of the training that is done."""
        return self.penalty(self.open_probabilities(), progress)

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups: gates descend, multipliers ascend; neither decays."""
        rate = {"lr": self.learning_rate, "weight_decay": 0.0}
        multipliers = list(self.penalty.parameters())
        ascending = [{"params": multipliers, "maximize": True, **rate}] if multipliers else []
        return [{"params": list(self.gates.parameters()), **rate}, *ascending]

    def log_alphas(self) -> dict[Key, Tensor]:
        """Return the parameters themselves, without a gradient."""
        return {key: gate.log_alpha.detach().clone() for key, gate in self.each()}


@contextmanager
def gates_in_force(model: PreTrainedModel, gates: UnitGates) -> Iterator[None]:
    """Multiply a model's units by trainable gates, drawn anew in each forward pass.

    Args:
        model: The model; for the length of the block it holds the gates as a module, "gates".
        gates: The gates.

    Yields:
        Nothing.
    """
    drawn: Masks = {}

    def draw(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        drawn.update(gates.values())

    with ExitStack() as stack:
        model.add_module("gates", gates)
        stack.callback(delattr, model, "gates")
        handle = model.register_forward_pre_hook(draw, with_kwargs=True)
        stack.callback(handle.remove)
        current = {key: partial(drawn.__getitem__, key) for key in gates.keys}
        stack.enter_context(gated(EncoderView(model), current))
        yield
