"""Magnitude pruning with distillation: uniform, global, and gradual: the rows that any search has to beat.

Han et al. 2015 (arXiv 1506.02626) remove the smallest weights; Zhu & Gupta 2017 (arXiv 1710.01878) raise the ratio
gradually while training. At granularity `unit` a head's or neuron's magnitude is the root mean square of its
weights (ours: the papers prune single weights). Recovery is the same for all methods of this library.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import build_space, magnitude_scores, recovered
from leanformer.search.realise import Realiser, masks_of
from leanformer.search.space import Candidate, Space, allocation
from leanformer.structure.importance import Scores
from leanformer.structure.masks import Masks, applied
from leanformer.structure.surgery import slice_units
from leanformer.training.masking import gradual_masks


def uniform(problem: Problem) -> Compressed:
    """Prune each group by the same ratio, at once, then distil.

    Args:
        problem: What to compress, and how far.

    Returns:
        The compressed model.
    """
    return _at_once(problem, lambda space, scores: space.uniform())


def global_(problem: Problem) -> Compressed:
    """Prune below one threshold over all groups, at once, then distil.

    Args:
        problem: What to compress, and how far.

    Returns:
        The compressed model.
    """
    return _at_once(problem, global_allocation)


def gradual(problem: Problem) -> Compressed:
    """Raise a uniform ratio along the cubic schedule in the first half of the distillation, then keep it.

    Args:
        problem: What to compress, and how far.

    Returns:
        The compressed model.
    """
    model = copy.deepcopy(problem.teacher)
    view = EncoderView(model)
    space = build_space(view, problem)
    scores = magnitude_scores(view, problem.granularity)
    at_once = Realiser(problem.teacher, space, scores).build(space.uniform(), "none")
    live: Masks = {key: torch.ones_like(score) for key, score in scores.items()}

    def masks_at(ratio: float, masks: Masks) -> Masks:
        scores = {key: s * masks[key] for key, s in magnitude_scores(view, problem.granularity).items()}
        return masks_of(space, space.at(ratio), scores)

    keep = gradual_masks(model, masks_at, live, space.pruning_ratio, problem.folder / "gradual")
    if problem.granularity == "weight":
        return recovered(problem, model, live, keep, damaged=at_once)
    with applied(model, live):
        trained = recovered(problem, model, live, keep, damaged=at_once)
    return Compressed(slice_units(model, live).eval(), live, training=trained.training)


def global_allocation(space: Space, scores: Scores) -> tuple[int, ...]:
    """Return the candidate that one threshold on the magnitudes gives.

    Args:
        space: The space.
        scores: Magnitudes.

    Returns:
        Levels kept, one a group.
    """
    flat: dict[tuple[int, str], np.ndarray] = {
        key: s.flatten().double().cpu().numpy() for key, s in scores.items()
    }
    return allocation(space, flat)


def _at_once(problem: Problem, allocate: Callable[[Space, Scores], Candidate]) -> Compressed:
    """Prune by magnitude under an allocation, without repair, then distil."""
    view = EncoderView(problem.teacher)
    space = build_space(view, problem)
    scores = magnitude_scores(view, problem.granularity)
    realiser = Realiser(problem.teacher, space, scores)
    candidate = allocate(space, scores)
    return recovered(problem, realiser.build(candidate, "none"), realiser.masks(candidate))
