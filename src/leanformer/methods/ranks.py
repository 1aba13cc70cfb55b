"""Rank pruning with gates: FLOP (Wang, Wohlwend, Lei 2020, arXiv 1910.04732), as `multitask` uses it.

What the paper and its code state: W ~ P diag(z) Q with hard-concrete gates z (temperature 1); the expected size, the
sum of (d_in + d_out) P(z != 0), is led to its target by a Lagrangian whose multipliers ascend; the target falls in a
straight line; in the end the gates of the lowest log_alpha close, the rest keep their soft values. The full rank is
in * out / (in + out), which has as many weights as W.

Ours: P and Q start from the singular value decomposition of the dense weights; gates start open (2.2, P(open) 0.97)
and learn faster where the training is short; what is asked for is met to within a rank, by one cut through all ranks
by their cost; a linear keeps one rank at least, of zeros where it has none left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Problem
from leanformer.methods.steps import recovery_steps
from leanformer.structure.low_rank import (
    RANK,
    factorised_linears,
    keep_ranks,
    named_linears,
    neutral_rank,
    of_matrix,
)
from leanformer.structure.masks import Masks
from leanformer.training.gates import Gates, HardConcrete
from leanformer.training.penalties import TowardsShare
from leanformer.training.straight_through import Ramp, TopOfAll

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BETA = 1.0
START = 2.2
LEARNING_RATE = 0.1
TRAVEL = 20.0  # as of the gates of `l0-heads`


def at_full_rank(model: PreTrainedModel) -> PreTrainedModel:
    """Return a model whose linears are products, each of as many weights as before."""
    linears = named_linears(EncoderView(model))
    small: PreTrainedModel = factorised_linears(
        model, {key: neutral_rank(linear) for key, linear in linears.items()}
    )
    return small


def truncated(model: PreTrainedModel, kept: float) -> PreTrainedModel:
    """Return a model whose linears are products that keep a share of the weights: what rank pruning does at once."""
    linears = named_linears(EncoderView(model))
    ranks = {key: max(1, int(kept * neutral_rank(linear))) for key, linear in linears.items()}
    small: PreTrainedModel = factorised_linears(model, ranks)
    return small


def rank_costs(model: PreTrainedModel) -> dict[str, float]:
    """Return the weights of one rank by the kind of its gate: in + out; alike in all layers of a dense model."""
    linears = named_linears(EncoderView(model))
    return {f"{RANK}{name}": float(one.in_features + one.out_features) for (_, name), one in linears.items()}


def rank_gates(problem: Problem, model: PreTrainedModel, removed: float) -> Gates:
    """Return a gate for each rank of a model of products, led to a share of their weights.

    Args:
        problem: How long it is going to train.
        model: From `at_full_rank`.
        removed: The share of the weights that has to go.

    Returns:
        The gates, open.
    """
    linears = named_linears(EncoderView(model))
    gates = {
        (layer, f"{RANK}{name}"): HardConcrete(neutral_rank(linear), BETA, START)
        for (layer, name), linear in linears.items()
    }
    rate = max(LEARNING_RATE, TRAVEL / recovery_steps(problem))
    return Gates(gates, rate, TowardsShare(1.0 - removed, rank_costs(model)))


def closed_to(gates: Gates, model: PreTrainedModel, removed: float) -> Masks:
    """Return the gates' soft values, those of the lowest log_alpha at zero until the share is met.

    Args:
        gates: Trained gates.
        model: The model that they are of.
        removed: The share of the weights that has to go.

    Returns:
        By (layer, name of a matrix), (rank,).
    """
    scores, costs = gates.log_alphas(), rank_costs(model)
    prices = {key: torch.full_like(score, costs[key[1]]) for key, score in scores.items()}
    kept = TopOfAll(Ramp(0.0, 1.0, removed))(scores, prices, 1.0)
    values = {key: value.detach() for key, value in gates.eval().values().items()}
    return {(layer, of_matrix(kind)): mask * values[layer, kind] for (layer, kind), mask in kept.items()}


def without_ranks(model: PreTrainedModel, values: Masks) -> PreTrainedModel:
    """Return a model of products without the ranks whose gates are closed, the others folded in."""
    small: PreTrainedModel = keep_ranks(model, values).eval()
    return small


def removed_share(dense: PreTrainedModel, small: PreTrainedModel) -> float:
    """Return the share of the encoder's weights that rank pruning has removed."""
    weights = sum(linear.weight.numel() for linear in named_linears(EncoderView(dense)).values())
    view = EncoderView(small)
    linears, left = named_linears(view), 0
    for layer in range(view.n_layers):
        for name, rank in view.ranks(layer).items():
            linear = linears[layer, name]
            left += rank * (linear.in_features + linear.out_features)
    return 1.0 - left / weights
