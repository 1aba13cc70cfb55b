"""BERxiT: early exiting that learns when to exit (Xin et al. 2021, EACL).

What the paper and its code state: beside each classifier between the layers a small head, shared by all, learns to
say how likely that classifier is wrong, by the squared distance to 1 for a wrong answer and 0 for a right one; a text
leaves where it says less than a threshold. For values the target is |tanh(answer - label)|, so that regression exits,
too. Backbone and exits train in turns: one step the last classifier alone, one step all of them.

Ours: the backbone stands still, as in FastBERT, and the exits learn the last classifier's answers, so that the whole
model stays what it was; each exit judges itself, by what its own branch has pooled.
"""

from __future__ import annotations

from leanformer.methods.leaving import once_trained, unseen, with_dial, with_new_exits
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import trained_exits


def run(problem: Problem) -> Compressed:
    """Train exits that judge themselves, then set the threshold.

    Args:
        problem: What to compress, and how far; granularity "exit".

    Returns:
        The dense model with its exits and the threshold.

    Raises:
        BudgetError: If no threshold does what is asked for.
        ModelError: If texts can not leave between the layers of the family.
    """
    trained = once_trained(
        problem, "learned-exit", lambda: trained_exits(unseen(problem), with_new_exits(problem, judges=True))
    )
    return with_dial(problem, trained, "learned")
