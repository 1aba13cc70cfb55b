"""Length-Adaptive Transformer (Kim & Cho 2021, arXiv 2010.07003): one training, and a speed for every budget.

What the paper and its code state: from a fine-tuned model, every step trains four models of the same weights (the
sandwich rule): with all tokens on the labels; and with the fewest tokens and with two random lengths in between on
the answers of the first (in-place distillation). LengthDrop: a layer keeps at least 80% of the tokens that the one
before left, those to which the others attend most (the column sums of attention, as in PoWER-BERT); the first token
always stays. Then an evolutionary search finds, for each amount of work, the lengths that keep the score. For heads
that read every token, the others keep the last state that they had (drop and restore).

Ours: tokens are counted as a share of each text's own length, where the code counts those of the padded batch, so
that an answer does not depend on neighbours, and the graph exports with open lengths; a token's attention to itself
and the questions of padding do not count; the model with all tokens is distilled from the dense model, as after every
method here; no layers are dropped while it trains; the search is this library's, under one budget, by the divergence
from the dense model on held-out rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leanformer.encoders.view import EncoderView
from leanformer.methods.lengths import winner_of
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import LEAVING_RATE, build_space, recovered
from leanformer.methods.taken_over import Earlier, earlier_run
from leanformer.search.space import Space
from leanformer.structure.masks import Masks
from leanformer.structure.tokens import check_tokens, with_kept_tokens
from leanformer.training.lengths import Sandwich

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DROP = 0.2
"""A layer drops this share of the tokens at most while training."""


def run(problem: Problem) -> Compressed:
    """Train for all lengths, then search those that the budget allows.

    Args:
        problem: What to compress, and how far; granularity "token".

    Returns:
        The model with the lengths that were found.

    Raises:
        BudgetError: If dropping tokens can not save so much, or no candidate is fast enough.
        ModelError: If the family's layers can not drop tokens.
    """
    if earlier := earlier_run(problem, "length-adaptive"):
        return with_lengths(problem, problem.teacher, taken_over(problem, earlier))
    return shortened(problem, problem.teacher, {})


def taken_over(problem: Problem, earlier: Earlier) -> Compressed:
    """Return the model of an earlier run of this method, all of whose lengths are open again.

    Args:
        problem: The dense model and the budget.
        earlier: The run.

    Returns:
        The model and the facts of its training.
    """
    least = smallest(build_space(EncoderView(problem.teacher), problem), EncoderView(earlier.model).n_layers)
    model = with_kept_tokens(earlier.model, least)
    return Compressed(model, {}, training=earlier.facts(earlier.training))


def shortened(problem: Problem, start: PreTrainedModel, masks: Masks) -> Compressed:
    """Train a model for all lengths, distilled from the dense one, then search those that the budget allows.

    Args:
        problem: The dense model, and what is asked for; granularity "token".
        start: The model that tokens are to leave: the dense one, or a pruned one.
        masks: What was kept in it.

    Returns:
        The model with the lengths that were found; its masks hold both.

    Raises:
        BudgetError: If dropping tokens can not save so much, or no candidate is fast enough.
        ModelError: If the family's layers can not drop tokens.
    """
    view = EncoderView(start)
    check_tokens(view)
    space: Any = build_space(view, problem)
    sandwich = Sandwich(smallest(space, view.n_layers), seed=problem.seed)
    model = with_kept_tokens(start, sandwich.least)
    return with_lengths(
        problem, start, recovered(problem, model, masks, sandwich=sandwich, rate=LEAVING_RATE)
    )


def with_lengths(problem: Problem, start: PreTrainedModel, trained: Compressed) -> Compressed:
    """Search the lengths that the budget allows.

    Args:
        problem: The dense model, and what is asked for; granularity "token".
        start: The model before any token left: the dense one, or a pruned one.
        trained: What it became, trained for all lengths, and what was kept of its units.

    Returns:
        The model with the lengths that were found; its masks hold both.

    Raises:
        BudgetError: If dropping tokens can not save so much, or no candidate is fast enough.
    """
    found, winner, heats = winner_of(problem, EncoderView(start), trained.model)
    realiser = found.judge.realiser
    kept = {**trained.masks, **realiser.masks(winner)}
    return replace(
        trained, model=realiser.build(winner, "none"), masks=kept, search=found.facts(winner, heats)
    )


def smallest(space: Space, n_layers: int) -> tuple[float, ...]:
    """Return the fewest tokens that training has to know: a fifth fewer a layer, or what the budget needs.

    Args:
        space: The space of the budget.
        n_layers: Layers of the encoder.

    Returns:
        What is left after each layer, falling.
    """
    needed = float(space.shares(space.uniform()).min())
    kept = min(1.0 - DROP, needed ** (2.0 / (n_layers + 1)))
    return tuple(kept ** (layer + 1) for layer in range(n_layers))
