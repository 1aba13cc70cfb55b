"""Specialised heads do the heavy lifting: head pruning by L0 gates (Voita et al. 2019, arXiv 1905.09418).

What the paper and its code state: from a converged model, each head's context is multiplied by a hard-concrete gate;
all is trained on with the loss + lambda * sum over heads of P(gate != 0); gates end almost all open or closed, and
are read as a configuration. Code: temperature 0.33, stretch (-0.1, 1.1), the noise shared by the batch; in eval mode
the sigmoid is not sharpened.

Ours: encoders only, and the loss is this library's distillation; gates start open (log_alpha 2.5, not near 0, where
half of each context would be missing at once), and learn faster where the training is short. Beside the paper's
lambda a share of heads can be asked for: a Lagrangian (FLOP, arXiv 1910.04732) leads the expected share there, and
heads leave by rank until it is exact. What is left of an open gate below 1 is folded into the output matrix.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import build_space, magnitude_scores, recovered, recovery_steps
from leanformer.search.realise import Realiser
from leanformer.search.space import fewest_units
from leanformer.structure.masks import Masks
from leanformer.structure.surgery import fold_gates, slice_units
from leanformer.training.gates import Gates, gates_in_force, hard_concrete
from leanformer.training.penalties import ExpectedOpen, Penalty, TowardsShare

if TYPE_CHECKING:
    from leanformer.search.space import Space

BETA = 0.33
START = 2.5
LEARNING_RATE = 0.1  # of the gates, as in the PyTorch re-implementation for BERT (rycolab, DSP)
TRAVEL = 20.0
"""How far a gate can go in a whole training, at least: twice from open to closed and back, at a rate that decays."""


def run(problem: Problem) -> Compressed:
    """Train gates and weights together, then remove the closed heads.

    Args:
        problem: What to compress, and how far; granularity "head".

    Returns:
        The compressed model; its "heads" facts hold P(gate != 0) of each head.
    """
    model = copy.deepcopy(problem.teacher)
    view, space = EncoderView(model), build_space(EncoderView(problem.teacher), problem)
    at_once = Realiser(problem.teacher, space, magnitude_scores(view, "unit")).build(space.uniform(), "none")
    weight = float(problem.options["lambda"])
    penalty: Penalty = (
        ExpectedOpen(weight) if weight else TowardsShare(1 - space.pruning_ratio, {"head": 1.0})
    )
    rate = max(LEARNING_RATE, TRAVEL / recovery_steps(problem))
    gates = Gates(hard_concrete(view, ("head",), BETA, START), rate, penalty)
    with gates_in_force(model, gates):
        trained = recovered(problem, model, {}, damaged=at_once, gates=gates)
    values = {key: value.detach() for key, value in gates.eval().values().items()}
    masks = opened(values) if weight else by_rank(space, gates.log_alphas())
    fold_gates(model, {key: torch.where(masks[key] > 0, value, 0.0) for key, value in values.items()})
    facts: dict[str, Any] = {
        "measure": "probability of an open gate",
        "scores": [row.tolist() for row in gates.open_probabilities().values()],
        "removed": [[layer, head] for (layer, _), mask in masks.items() for head in closed(mask)],
    }
    return replace(trained, model=slice_units(model, masks).eval(), masks=masks, heads=facts)


def opened(values: Masks) -> Masks:
    """Return the masks of gates as they stand: what is closed leaves."""
    return {key: (value > 0).float() for key, value in values.items()}


def by_rank(space: Space, log_alphas: Masks) -> Masks:
    """Return the masks that keep exactly the share of heads that is asked for, those of the highest log_alpha."""
    flat = torch.cat(list(log_alphas.values()))
    kept = len(flat) - fewest_units(space.pruning_ratio, len(flat))
    chosen = torch.zeros(len(flat))
    chosen[torch.topk(flat, kept).indices] = 1.0
    parts = chosen.split([len(row) for row in log_alphas.values()])
    return dict(zip(log_alphas, parts, strict=True))


def closed(mask: Tensor) -> list[int]:
    """Return the heads that a mask removes."""
    return [int(head) for head in (mask == 0).nonzero()]
