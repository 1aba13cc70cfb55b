"""One-shot pruning: minutes, no training, no labels; what is left is re-fitted in closed form.

A reconstruction on this library's mechanisms of the strongest ideas of three systems:

1. which units leave a sub-layer, and in which order: structured optimal brain surgeon on the second moments of
   unlabelled texts (ZipLM, Kurtic et al. 2023, arXiv 2302.04089). Kwon et al. rank by the Fisher information of mask
   gradients instead, which needs labels;
2. how much stays where: the knapsack over what sub-layers lose, under a budget of weights, multiply-accumulates or
   measured milliseconds (Kwon et al. 2022, arXiv 2204.09656, section 3; ZipLM's structured SPDY), and then swaps,
   judged by how far the answers of the repaired candidate are from the dense model's (as in `ae-bert`);
3. what is left is re-fitted by least squares sub-layer by sub-layer, on what really enters each after all before it
   were pruned (Kwon et al., section 5, "mask tuning"; K-prune, Park et al. 2024, arXiv 2308.03449, section 3.4).
   All weights of the output matrix are solved for, not one scale a unit.

Held-out rows are drawn by class where there are labels; nothing else reads them.
"""

from __future__ import annotations

from leanformer.methods.ae_bert import Found, record, winner_of
from leanformer.methods.problem import Compressed, Problem


def run(problem: Problem) -> Compressed:
    """Search, slice, re-fit; no training.

    Args:
        problem: What to compress, and how far; granularity "unit".

    Returns:
        The compressed model.

    Raises:
        BudgetError: If the budget can not be met.
    """
    return refitted(winner_of(problem))


def refitted(searched: Found) -> Compressed:
    """Slice a search's winner and re-fit what is left, in sequence.

    Args:
        searched: A search, its winner, and what the clock said.

    Returns:
        The compressed model.
    """
    found, winner, heats = searched
    realiser = found.judge.realiser
    model = realiser.build(winner, "in sequence")
    return Compressed(model, realiser.masks(winner), search=record(found, winner, heats))
