"""Movement pruning (Sanh et al. 2020, arXiv 2005.07683) and block movement pruning (Lagunas et al. 2021, 2109.04838).

What the papers and their code state: W' = W * M(S); the scores S learn along with the weights through the
straight-through estimator, dL/dS := dL/dM, so that what counts is whether a weight moves away from zero, not how
large it is. Hard: each matrix keeps the top share of its scores. Soft: sigmoid(S) > tau, with tau from 0 to 0.1 and
a penalty lambda_t mean sigmoid(S) that grows with it. The share follows a cubic schedule between a warm-up and a
hold. In block movement pruning a score is one of a 32x32 block of attention, and of a neuron of the FFN (hybrid);
all is distilled; what is empty is sliced; the blocks that are left may be filled with small noise and trained on.

Ours:
- granularities of whole heads and neurons ("unit", the default, "head", "neuron"), which slicing removes as they are:
  their gate is on what the unit gives, so that its score moves as those of its columns of the output matrix do;
- beside hard ("local") and soft ("threshold") selection one cut through all scores by what they cost ("global", the
  default), as in GRAIN: layers compete; the soft variant's lambda grows in a straight line, not with tau;
- the scores of a budget add up -dL/dM as it is, the papers' own equation for S, where their code gives it to Adam
  (option `scores`): a recovery has hundreds of steps and not tens of thousands, in which Adam's steps of equal length
  are next to a random walk. Sums of single weights are no better: from a model that has been trained before they are
  noise that grows with the weight, and the largest go first. Theirs are Adam's and start at the weights' magnitudes,
  so that what leaves is small or has moved;
- a neuron of the hybrid has its one gate there, too, where the code masks the row and the column;
- a head leaves where that is exact: its values or its columns of the output matrix are zero. The code removes it for
  zero queries or keys, too, which changes answers;
- the distillation is this library's, and hidden states have no say in such scores, as in GRAIN; the soft variant's,
  which a penalty moves too, are Adam's, faster where the training is short; embeddings are frozen as in the paper.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import build_space, magnitude_scores, recovered, recovery_steps
from leanformer.search.realise import Realiser
from leanformer.structure.cost import unit_costs
from leanformer.structure.empty import without_empty_units
from leanformer.structure.masks import UNITS, Masks, make_permanent
from leanformer.structure.surgery import slice_units
from leanformer.training.gates import gate_shapes, gates_in_force
from leanformer.training.penalties import Key, Ramped
from leanformer.training.straight_through import (
    AboveThreshold,
    Ramp,
    SelectedGates,
    Selection,
    StraightThrough,
    TopOfAll,
    TopOfEach,
)
from leanformer.training.summed import Summed, SummedGates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GATED = {
    "unit": UNITS,
    "head": ("head",),
    "neuron": ("neuron",),
    "weight": MATRICES,
    "block": MATRICES,
    "hybrid": (*MATRICES[:4], "neuron"),
}
"""What has gates, by granularity."""

LIKE = {"block": "weight", "hybrid": "weight"}
"""Granularities whose budget and damage are those of magnitude pruning at another one."""

BLOCK = 32
START, END = 0.1, 0.7  # of the ramp; the final share holds after it
LEARNING_RATE = 0.01  # of the scores
TRAVEL = 10.0
"""How far a score can go in a whole training, at least: the sigmoid has to pass tau = 0.1 at -2.2."""

TAU = 0.1
NOISE = 0.1
"""Of what fills empty places: the standard deviation, as a share of that of the weights beside them (ours)."""


def run(problem: Problem) -> Compressed:
    """Train scores and weights together; slice what is empty.

    Args:
        problem: What to compress, and how far.

    Returns:
        The compressed model.
    """
    model = copy.deepcopy(problem.teacher)
    gates = movement_gates(problem, EncoderView(model))
    with gates_in_force(model, gates):
        trained = recovered(problem, model, {}, damaged=damaged_alike(problem), gates=gates)
    masks = gates.masks()
    if set(GATED[problem.granularity]) <= set(UNITS):
        return replace(trained, model=slice_units(model, masks).eval(), masks=masks)
    masks = of_matrices(EncoderView(model), masks)
    make_permanent(model, masks)
    small, units = without_empty_units(model)
    if problem.options["fill"] == "no":
        return replace(trained, model=small.eval(), masks=masks)
    fill(small, problem.seed)
    again = replace(
        problem, folder=problem.folder / "filled", cache=problem.cache or problem.folder / "teacher-outputs"
    )
    again.folder.mkdir(parents=True, exist_ok=True)
    filled = recovered(again, small, units)
    return replace(filled, training={**filled.training, "before_filling": trained.training})


def movement_gates(problem: Problem, view: EncoderView) -> SelectedGates:
    """Return the gates of a problem's granularity under its selection.

    Args:
        problem: Pruning ratio, granularity and options.
        view: The model that is going to train.

    Returns:
        The gates, all open.
    """
    selection, penalty = selection_of(problem)
    steps, single = recovery_steps(problem), problem.granularity == "weight"
    refreshes = 100 if single else steps  # millions of scores take long to sort
    shapes = {
        key: (shape, block_of(problem.granularity, shape))
        for key, shape in gate_shapes(view, GATED[problem.granularity]).items()
    }
    scores = scores_of(problem)
    if penalty is None and scores == "sum":
        summed = {key: Summed(*shape) for key, shape in shapes.items()}
        return SummedGates(summed, selection, unit_costs(view), refreshes)
    gates = {key: StraightThrough(*shape) for key, shape in shapes.items()}
    if penalty is None and scores == "magnitude":
        start_at_magnitude(gates, view)
    return SelectedGates(
        gates,
        max(LEARNING_RATE, TRAVEL / steps),
        selection,
        unit_costs(view),
        refreshes,
        penalty,
    )


def scores_of(problem: Problem) -> str:
    """Return how scores are kept: "sum", "adam", or "magnitude", which starts Adam's where the weights are.

    Args:
        problem: Granularity, and the option `scores`.

    Returns:
        The option's value; where it is "usual", that of the granularity.

    Raises:
        BudgetError: If scores that are not of single weights are to start at their magnitudes.
    """
    scores = str(problem.options["scores"])
    if scores == "usual":
        return "magnitude" if problem.granularity == "weight" else "sum"
    if scores == "magnitude" and problem.granularity != "weight":
        raise BudgetError(
            f"scores start at the magnitudes of single weights only, and not with granularity {problem.granularity}: "
            "leave the option scores out"
        )
    return scores


@torch.no_grad()
def start_at_magnitude(gates: Mapping[Key, StraightThrough], view: EncoderView) -> None:
    """Let scores start at the magnitudes of the weights over their root mean square.

    Args:
        gates: Of matrices, a score a weight; changed in place.
        view: The model.
    """
    sizes = {key: view.matrices(key[0])[key[1]].abs() for key in gates}
    square = sum(float(size.square().sum()) for size in sizes.values())
    usual = math.sqrt(square / sum(size.numel() for size in sizes.values()))
    for key, gate in gates.items():
        gate.scores.copy_(sizes[key] / usual)


def block_of(granularity: str, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the rows and columns that share a score; None where each entry has its own."""
    blocks = granularity in ("block", "hybrid") and len(shape) == 2
    return (BLOCK, BLOCK) if blocks else None


def without_closed(model: PreTrainedModel, masks: Masks, granularity: str) -> tuple[PreTrainedModel, Masks]:
    """Return a model without what is closed: units sliced, weights zero, and units that are empty then sliced, too.

    Args:
        model: The model; it is left as it is.
        masks: 0/1 masks of the granularity's kinds.
        granularity: A key of `GATED`.

    Returns:
        A lean model, and the masks of the units with which it was sliced.
    """
    if set(GATED[granularity]) <= set(UNITS):
        return slice_units(model, masks).eval(), masks
    sparse = copy.deepcopy(model)
    make_permanent(sparse, of_matrices(EncoderView(model), masks))
    small, units = without_empty_units(sparse)
    return small.eval(), units


def selection_of(problem: Problem) -> tuple[Selection, Ramped | None]:
    """Return what is open when, and the penalty of the soft variant.

    Args:
        problem: Budget and options.

    Returns:
        The selection, and its penalty or None.
    """
    ratio = build_space(
        EncoderView(problem.teacher), replace(problem, granularity=spaced(problem))
    ).pruning_ratio
    if problem.options["selection"] == "threshold":
        return AboveThreshold(Ramp(START, END, TAU)), Ramped(float(problem.options["lambda"]), START, END)
    if problem.options["selection"] == "global":
        return TopOfAll(Ramp(START, END, ratio)), None
    return TopOfEach(Ramp(START, END, ratio)), None


def spaced(problem: Problem) -> str:
    """Return the granularity whose space has the problem's budget."""
    return LIKE.get(problem.granularity, problem.granularity)


def damaged_alike(problem: Problem) -> PreTrainedModel:
    """Return a model pruned by magnitude as far as movement will: its damage sets the learning rate."""
    like = replace(problem, granularity=spaced(problem))
    view = EncoderView(problem.teacher)
    space = build_space(view, like)
    scores = magnitude_scores(view, "weight" if like.granularity == "weight" else "unit")
    return Realiser(problem.teacher, space, scores).build(space.uniform(), "none")


def of_matrices(view: EncoderView, masks: Masks) -> Masks:
    """Return masks of matrices alone: a closed neuron is a row of zeros, and a column.

    Args:
        view: The model.
        masks: Of matrices, and of neurons.

    Returns:
        The same zeros as masks of matrices.
    """
    found: Masks = {}
    for (layer, kind), mask in masks.items():
        if kind in MATRICES:
            found[layer, kind] = mask
            continue
        into, out = (view.matrices(layer)[name] for name in MATRICES[4:])
        found[layer, "ffn_in"] = mask.repeat(len(into) // len(mask))[:, None].expand_as(into)
        found[layer, "ffn_out"] = mask.expand_as(out)
    return found


@torch.no_grad()
def fill(model: PreTrainedModel, seed: int) -> None:
    """Fill the zeros of all matrices with small noise, so that they train again.

    Args:
        model: A sliced model, changed in place.
        seed: Of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    view = EncoderView(model)
    for layer in range(view.n_layers):
        for matrix in view.matrices(layer).values():
            live = matrix != 0
            spread = matrix[live].std() if int(live.sum()) > 1 else matrix.new_tensor(0.0)
            noise = torch.randn(matrix.shape, generator=generator) * NOISE * spread
            matrix.copy_(torch.where(live, matrix, noise))
