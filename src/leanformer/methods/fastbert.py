"""FastBERT: a self-distilling BERT with adaptive inference time (Liu et al. 2020, arXiv 2004.02178).

What the paper and its code state: behind each layer stands a branch, a narrow self-attention and a classifier. The
backbone and its last classifier are fine-tuned as usual; then both stand still, and the branches learn the last
classifier's answers, sum KL(p_last || p_branch), from texts without labels. A text leaves at the first branch whose
normalised entropy is below the speed, a number between 0 and 1 that users set; in a batch those that are done leave,
the rest goes on.

Ours: deep encoders have an exit behind every second layer; the branch's attention asks for the first token alone,
since its classifier reads no other; the speed is set on held-out rows by what the budget asks for.
"""

from __future__ import annotations

from leanformer.errors import BudgetError
from leanformer.methods.leaving import once_trained, unseen, with_dial, with_new_exits
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import trained_exits


def run(problem: Problem) -> Compressed:
    """Train the branches, then set the speed.

    Args:
        problem: What to compress, and how far; granularity "exit".

    Returns:
        The dense model with its branches and the speed.

    Raises:
        BudgetError: If no speed does what is asked for, or the task is to answer with a value.
        ModelError: If texts can not leave between the layers of the family.
    """
    if problem.task.kind == "regression":
        raise BudgetError("values have no entropy: choose --method patience or --method learned-exit")
    trained = once_trained(
        problem, "fastbert", lambda: trained_exits(unseen(problem), with_new_exits(problem))
    )
    return with_dial(problem, trained, "entropy")
