"""Scores of units: which heads, neurons or weights matter, by size or by what the layer loses with them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.activations import Moment, Moments, sites

Scores = dict[tuple[int, str], Tensor]
"""(layer, kind) -> one score a unit (units,), or of the matrix's shape for single weights; high stays."""

DAMPING = 1e-3
"""Ridge added to a second moment, as a share of its mean diagonal."""

CROWDED = 0.75
"""Share of the units: when fewer are left, these are copied together. At each step that would take longest."""


def unit_magnitude(view: EncoderView) -> Scores:
    """Score heads and FFN neurons by the root mean square of their weights.

    Args:
        view: The encoder.

    Returns:
        Scores (units,), comparable between heads and neurons because they are means over a unit's weights.
    """
    scores: Scores = {}
    for layer in range(view.n_layers):
        scores[layer, "head"] = view.head_weights(layer).detach().float().square().mean(dim=1).sqrt()
        scores[layer, "neuron"] = view.neuron_weights(layer).detach().float().square().mean(dim=1).sqrt()
    return scores


def weight_magnitude(view: EncoderView) -> Scores:
    """Score single weights by their absolute value (Han et al. 2015, arXiv 1506.02626).

    Args:
        view: The encoder.

    Returns:
        Scores of the six matrices of each layer, each of its matrix's shape.
    """
    return {
        (layer, name): matrix.detach().float().abs()
        for layer in range(view.n_layers)
        for name, matrix in view.matrices(layer).items()
    }


@dataclass(frozen=True)
class RemovalOrder:
    """In which order units leave a group, and what each step costs.

    Attributes:
        order: (units,) indices, first to leave first.
        errors: (units + 1,) weighted squared error of the sub-layer's output after 0, 1, ... removals with the
            rest re-fitted; non-decreasing. Where several units leave at once, what they cost together is exact and
            shared out in proportion to what each would cost alone.
    """

    order: Tensor
    errors: Tensor

    @property
    def scores(self) -> Tensor:
        """Rank of each unit (units,): the last to leave has the highest."""
        ranks = torch.empty(len(self.order))
        ranks[self.order] = torch.arange(len(self.order), dtype=torch.float32)
        return ranks


def removal_order(weight: Tensor, moment: Moment, unit_size: int, at_once: int = 1) -> RemovalOrder:
    """Remove units greedily, each time those whose loss the others can make good best.

    Structured optimal brain surgeon, as in ZipLM (Kurtic et al. 2023, arXiv 2302.04089), after the step readable
    in DarwinLM's code: with H the damped second moment, removing the input columns S costs
    tr(W_S (H^-1_SS)^-1 W_S^T); then W -= W_S (H^-1_SS)^-1 H^-1_S: and H^-1 is down-dated.

    Args:
        weight: (hidden, d) of the linear layer behind the gate.
        moment: Second moment of its input.
        unit_size: Input columns a unit: the head size, or 1 for neurons.
        at_once: Units removed before the costs are computed afresh; 1 is exact greedy.

    Returns:
        The order and the errors.

    Raises:
        ModelError: A cost is not a number, so no unit is the cheapest.
    """
    # The constant takes part in the re-fit (it stands for the bias) but never leaves.
    inverse = torch.linalg.inv(damped(moment.second).double())
    matrix = torch.cat([weight.detach().double(), weight.new_zeros(len(weight), 1).double()], dim=1).to(
        inverse.device
    )
    units = torch.arange(moment.dimensions // unit_size, device=inverse.device)
    left = torch.ones(len(units), dtype=torch.bool, device=inverse.device)
    order: list[Tensor] = []
    errors = [0.0]
    while left.any():
        costs = _removal_costs(matrix, inverse, unit_size).masked_fill(~left, torch.inf)
        if costs.isnan().any():
            raise ModelError(
                "What removing heads or neurons costs can not be told: the model's weights or its activations on "
                "the calibration texts are not finite numbers; look at its answers with `leanformer evaluate`."
            )
        cheapest = torch.argsort(costs)[: min(at_once, int(left.sum()))]
        columns = _columns(cheapest, unit_size)
        heard, removed = inverse[:, columns], matrix[:, columns]
        block = heard[columns]
        together = float(
            (removed.T * torch.linalg.solve(block, removed.T)).sum()
        )  # twins are not free together
        parts = torch.cumsum(costs[cheapest], dim=0) / costs[cheapest].sum().clamp_min(1e-300)
        errors += [errors[-1] + together * float(part) for part in parts]
        order.append(units[cheapest])
        # The rows, not the columns turned: an inverse is not quite symmetric, and the difference would grow.
        solved = torch.linalg.solve(block, inverse[columns])  # (|S|, columns)
        matrix.addmm_(removed, solved, alpha=-1)
        inverse.addmm_(heard, solved, alpha=-1)
        inverse[columns, columns] = 1.0  # all else there is zero now, and blocks must not be singular
        left[cheapest] = False
        if left.sum() < CROWDED * len(left):
            constant = torch.tensor([len(inverse) - 1], device=inverse.device)
            kept = torch.cat([_columns(left.nonzero().squeeze(1), unit_size), constant])
            inverse, matrix = inverse[kept][:, kept], matrix[:, kept]
            units, left = units[left], left[left]
    return RemovalOrder(torch.cat(order).cpu(), torch.tensor(errors))


def removal_orders(view: EncoderView, moments: Moments) -> dict[tuple[int, str], RemovalOrder]:
    """Return the removal order of the heads and of the neurons of each layer.

    Args:
        view: The dense encoder.
        moments: From `second_moments`.

    Returns:
        (layer, kind) -> order.
    """
    found = {}
    for (layer, kind), linear in sites(view).items():
        size = view.value_size(layer) if kind == "head" else 1
        at_once = 1 if kind == "head" else max(1, linear.in_features // 48)
        found[layer, kind] = removal_order(linear.weight, moments[layer, kind], size, at_once)
    return found


def damped(second: Tensor) -> Tensor:
    """Return a second moment with a ridge that makes it safely invertible.

    Args:
        second: (n, n), symmetric, positive semi-definite.

    Returns:
        The same with `DAMPING` times its mean diagonal added to the diagonal.
    """
    ridge = DAMPING * second.diagonal().mean().clamp_min(1e-20)
    return second + ridge * torch.eye(len(second), device=second.device, dtype=second.dtype)


def _removal_costs(matrix: Tensor, inverse: Tensor, unit_size: int) -> Tensor:
    """Cost of each remaining unit, (left,); the last column of both is the constant."""
    left = (len(inverse) - 1) // unit_size
    if unit_size == 1:
        return matrix[:, :left].square().sum(dim=0) / inverse.diagonal()[:left].clamp_min(1e-30)
    columns = torch.arange(left * unit_size, device=inverse.device).view(left, unit_size)
    blocks = torch.stack([inverse[c][:, c] for c in columns])  # (left, size, size)
    weights = matrix[:, columns].permute(1, 2, 0)  # (left, size, hidden)
    return (weights * torch.linalg.solve(blocks, weights)).sum(dim=(1, 2))


def _columns(units: Tensor, unit_size: int) -> Tensor:
    """Input columns of units, (units * unit_size,)."""
    return (units[:, None] * unit_size + torch.arange(unit_size, device=units.device)).flatten()
