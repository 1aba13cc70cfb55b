"""PABEE: BERT loses patience (Zhou et al. 2020, arXiv 2006.04152).

What the paper and its code state: a classifier behind each layer, all trained together with the backbone by
sum j L_j / sum j, so that later ones count more. A text leaves when so many classifiers in a row have given the same
answer, the patience; values, when two in a row differ by less than a threshold. No confidence is needed, so that a
badly calibrated model does no harm.

Ours: the last classifier is distilled from the dense model, as after every method here; classifiers are FastBERT's
branches; deep encoders have an exit behind every second layer; the patience is set on held-out rows by what the
budget asks for, and values agree within a tenth.
"""

from __future__ import annotations

from leanformer.methods.leaving import once_trained, unseen, with_dial, with_new_exits
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import LEAVING_RATE, recovered


def run(problem: Problem) -> Compressed:
    """Train exits and backbone together, then set the patience.

    Args:
        problem: What to compress, and how far; granularity "exit".

    Returns:
        The model with its exits and the patience.

    Raises:
        BudgetError: If no patience does what is asked for.
        ModelError: If texts can not leave between the layers of the family.
    """

    def train() -> Compressed:
        model = with_new_exits(problem)
        return recovered(unseen(problem), model, {}, exits="weighted", rate=LEAVING_RATE)

    return with_dial(problem, once_trained(problem, "patience", train), "patience")
