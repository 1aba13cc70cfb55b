"""Are sixteen heads really better than one? (Michel et al. 2019, arXiv 1905.10650), for encoders.

What the paper and its code state: a head's importance is I_h = E_x |dL(x) / dxi_h|, the expected sensitivity of the
loss to the head's mask xi_h, from one pass over training rows; optionally each layer's scores are divided by their
L2 norm. All heads are sorted once and removed from the least important on, in steps, without any training; the score
is measured at each step. Beside it stand two ablations: each head removed alone, and all heads of a layer but one.

Reconstruction and ours: the public code takes absolute values a token, and divides the last layer by another count;
we follow the formula, a row at a time (each row of a batch has gates of its own, so one backward pass gives all).
Held-out training rows measure the ladder; the report reads others. The ladder ends at the pruning ratio, here the
share of the heads, or with only a bound on the score at the last step that keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leanformer.budget import HALF
from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.progress import track
from leanformer.search.answers import Answers
from leanformer.search.space import fewest_units
from leanformer.structure.gradients import gate_gradients, taylor_scores
from leanformer.structure.masks import Masks
from leanformer.structure.surgery import slice_units
from leanformer.tasks.encode import batches
from leanformer.tasks.split import few_rows
from leanformer.training.objective import row_losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leanformer.structure.importance import Scores

SCORING_ROWS = 2048
JUDGING_ROWS = 512
STEPS = 20  # of the ladder: 5% of the heads each, as in the public code

Head = tuple[int, int]
"""(layer, head)."""


def run(problem: Problem) -> Compressed:
    """Remove the least important heads, without training.

    Args:
        problem: What to compress, and how far; granularity "head".

    Returns:
        The compressed model, with the ladder, the scores and, where the option `ablations` asks for them, the
        ablation tables in its "heads" facts.
    """
    view = EncoderView(problem.teacher)
    scores = head_importance(problem, normalised=problem.options["normalise"] == "layer")
    order = by_importance(scores)
    rows = few_rows(problem.held_out, problem.task, JUDGING_ROWS, problem.seed)
    answers = Answers(problem.teacher, problem.tokenizer, rows, problem.task)
    ladder = climb(answers, view, order)
    count = heads_to_remove(problem, ladder, len(order))
    masks = without(view, order[:count])
    facts: dict[str, Any] = {
        "measure": "importance",
        "scores": [scores[layer, "head"].tolist() for layer in range(view.n_layers)],
        "ladder": ladder,
        "removed": [list(head) for head in order[:count]],
        "judging_rows": len(rows),
    }
    if problem.options["ablations"] == "yes":
        facts |= {"alone": one_removed(answers, view), "all_but_one": one_left(answers, view)}
    return Compressed(slice_units(problem.teacher, masks).eval(), masks, heads=facts)


def head_importance(problem: Problem, normalised: bool = True) -> Scores:
    """Return I_h of each head, from training rows (equation 2).

    Args:
        problem: The dense model and its rows.
        normalised: Whether each layer's scores are divided by their L2 norm.

    Returns:
        (layer, "head") -> (heads,).
    """
    rows = problem.train.select(range(min(SCORING_ROWS, len(problem.train))))
    plan = [batch for _, batch in batches(rows, problem.tokenizer)]
    scores = taylor_scores(gate_gradients(problem.teacher, plan, row_losses, ["head"]))
    if normalised:
        scores = {key: score / (score.norm() + 1e-20) for key, score in scores.items()}
    return scores


def by_importance(scores: Scores) -> list[Head]:
    """Return all heads, the least important first."""
    flat = [
        (float(value), layer, head) for (layer, _), row in scores.items() for head, value in enumerate(row)
    ]
    return [(layer, head) for _, layer, head in sorted(flat)]


def without(view: EncoderView, heads: Sequence[Head]) -> Masks:
    """Return the masks that remove heads; layers that lose none have no mask."""
    masks: Masks = {}
    for layer, head in heads:
        mask: Tensor = masks.setdefault((layer, "head"), torch.ones(view.heads(layer)))
        mask[head] = 0.0
    return masks


def climb(answers: Answers, view: EncoderView, order: Sequence[Head]) -> list[dict[str, float]]:
    """Measure the score as heads leave in an order, a twentieth of them at a time, to the last.

    Args:
        answers: Who measures.
        view: The dense encoder.
        order: All heads, first to leave first.

    Returns:
        `removed` and `score` of each step, from 0 on.
    """
    counts = sorted({round(step * len(order) / STEPS) for step in range(STEPS + 1)})
    return [
        {"removed": count, "score": answers.of(without(view, order[:count])).score}
        for count in track(counts, "Heads: ladder")
    ]


def heads_to_remove(problem: Problem, ladder: Sequence[dict[str, float]], heads: int) -> int:
    """Return how many heads the budget takes: its ratio, or as many as its bound on the score allows."""
    budget = problem.budget
    if budget.pruning_ratio is not None or budget.max_drop_points is None:
        return fewest_units(budget.or_half().pruning_ratio or HALF, heads)
    least = ladder[0]["score"] - budget.max_drop_points / 100 - 1e-9
    within = [0]
    for step in ladder[1:]:
        if step["score"] < least:
            break
        within.append(int(step["removed"]))
    return within[-1]


def one_removed(answers: Answers, view: EncoderView) -> list[list[float]]:
    """Return the score without each head alone, a row a layer (the paper's table 1)."""
    pairs = [(layer, head) for layer in range(view.n_layers) for head in range(view.heads(layer))]
    found = {pair: answers.of(without(view, [pair])).score for pair in track(pairs, "Heads: each alone")}
    return [[found[layer, head] for head in range(view.heads(layer))] for layer in range(view.n_layers)]


def one_left(answers: Answers, view: EncoderView) -> list[list[float]]:
    """Return the score with each head as the only one of its layer, a row a layer (the paper's table 2 and 3)."""
    rows = []
    for layer in track(range(view.n_layers), "Heads: all but one of a layer"):
        heads = range(view.heads(layer))
        others = [[(layer, other) for other in heads if other != head] for head in heads]
        rows.append([answers.of(without(view, gone)).score for gone in others])
    return rows
