"""The search of how many tokens each layer keeps, for a model that was trained for all lengths.

Under a budget of work one space is searched. Under a budget of time choosing tokens costs something at each place
where they leave, more than any table says, so that spaces of few places are searched too, and the price follows what
the clock says of the best candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.pace import MARGIN, Heat, Pace, race
from leanformer.methods.problem import Problem
from leanformer.methods.steps import build_space
from leanformer.search.evaluate import ZERO_SHOT, Judge
from leanformer.search.falling import TokenRealiser, timed_token_space
from leanformer.search.process_engine import shared_journal
from leanformer.search.space import Candidate, Space
from leanformer.search.strategies import Outcome, Proposal, Rung, Search, overall
from leanformer.tasks.split import few_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CANDIDATES = 48
JUDGING_ROWS = 512
ATTEMPTS = 6
"""Searches under a budget of time: seconds each, for the model is trained once."""

MOST_PLACES = 3
"""Where choosing costs time, tokens leave at so many places at most, or in all layers."""


@dataclass(frozen=True)
class Searched:
    """One search.

    Attributes:
        judge: Who measured.
        outcome: What was found.
    """

    judge: Judge
    outcome: Outcome

    def facts(self, winner: Candidate, heats: Sequence[Heat] = ()) -> dict[str, Any]:
        """Return the "search" facts of result.json."""
        return {
            "candidates": self.outcome.facts(self.judge.realiser.space, winner),
            "seconds": self.judge.journal.seconds,
            "rungs": [rung.name for rung in ladder(self.judge)],
            "evaluation_rows": len(self.judge.held_out),
            "heats": [asdict(heat) for heat in heats],
            "limits": self.outcome.limits(winner),
        }

    @property
    def standing(self) -> tuple[float, float]:
        """By how much its best candidate breaks the limits on changes, and how far its answers are from the dense."""
        best, watch = self.outcome.ranked[0], self.outcome.watch
        beyond = 0.0 if watch is None else float(watch.excess(self.outcome.harms[best]))
        return beyond, overall(self.outcome.scores[best])


def spaces(view: EncoderView, problem: Problem) -> Iterator[Space]:
    """Yield what can be searched: lengths of all layers; once choosing tokens is known to cost time, of a few, too.

    Args:
        view: The model that was trained.
        problem: Budget and pace.

    Yields:
        Spaces on the budget.

    Raises:
        BudgetError: If none can meet it.
    """
    price = None if problem.pace is None else problem.pace.price
    if price is None or not price.choosing_ms:
        yield build_space(view, problem)
        return
    refused: list[BudgetError] = []
    costs = (price.costs, *price.shorter)
    tried = spreads([layer for layer in range(view.n_layers) if view.heads(layer)])
    for places in tried:
        try:
            yield timed_token_space(view, costs, price.deadline_ms, places, price.choosing_ms)
        except BudgetError as error:
            refused.append(error)
    if len(refused) == len(tried):
        raise refused[-1]


def spreads(layers: Sequence[int]) -> list[tuple[int, ...]]:
    """Return places at which tokens may leave: all layers; and two or three, evenly from the first or second on.

    Layers without heads, where nothing can leave, are not among those that are given. One place alone leaves a search
    nothing to trade.
    """
    few = [
        tuple(layers[int(place)] for place in np.linspace(start, len(layers), count, endpoint=False))
        for count in range(2, min(MOST_PLACES, len(layers) - 1) + 1)
        for start in (0, 1)
    ]
    return list(dict.fromkeys([tuple(layers), *few]))


def repriced(pace: Pace, found: Searched, heat: Heat) -> Pace:
    """Return the pace in which choosing tokens costs what the clock found beyond the table, a place.

    Args:
        pace: The pace of the last search.
        found: That search.
        heat: What the clock said of its finalists.

    Returns:
        A higher price; a shorter deadline where choosing does not explain it.
    """
    short, price = min(heat.shortfalls), pace.price
    realiser: Any = found.judge.realiser
    shares = realiser.shares(heat.finalists[heat.shortfalls.index(short)])
    places = sum(after < before for before, after in pairwise([1.0, *shares]))
    reckoned = price.deadline_ms - price.choosing_ms * len(realiser.space.groups)  # by the table alone
    choosing_ms = (price.deadline_ms * short / MARGIN - reckoned) / max(1, places)
    if choosing_ms <= price.choosing_ms:
        return pace.tightened(short)
    return replace(pace, price=replace(price, choosing_ms=choosing_ms))


def winner_of(
    problem: Problem, view: EncoderView, trained: PreTrainedModel
) -> tuple[Searched, Candidate, list[Heat]]:
    """Return the best lengths under the budget; under a budget of time that has a clock, the best that it passes.

    Args:
        problem: Budget, rows and seed.
        view: The model that was trained, before any token left.
        trained: The model that knows all lengths.

    Returns:
        The search (the last one), the winner, and what the clock said of the finalists.

    Raises:
        BudgetError: If no candidate is fast enough.
    """

    def search(problem: Problem) -> Searched:
        found = []
        for space in spaces(view, problem):
            judge = judge_of(problem, space, trained)
            found.append(Searched(judge, searched(problem, judge, even_seeds(space))))
        return min(found, key=lambda one: one.standing)

    if problem.pace is None or problem.pace.clock is None:
        found = search(problem)
        return found, found.outcome.ranked[0], []
    return race(
        problem.pace,
        problem.folder / "heats.json",
        lambda pace: search(replace(problem, pace=pace)),
        lambda found: found.outcome.ranked,
        lambda found, candidate: found.judge.realiser.build(candidate, "none"),
        ATTEMPTS,
        repriced,
    )


def judge_of(problem: Problem, space: Space, trained: PreTrainedModel) -> Judge:
    """Return who measures candidates.

    Args:
        problem: Rows and folder.
        space: The space.
        trained: The model that knows all lengths.

    Returns:
        The judge.
    """
    rows = few_rows(problem.held_out, problem.task, JUDGING_ROWS, problem.seed)
    places = "".join(f"{group.layer}." for group in space.groups)
    name = f"token-{space.pruning_ratio:g}-{places}-{problem.seed}"
    journal = shared_journal(problem.journal or problem.folder / "journal.log", name)
    realiser: Any = TokenRealiser(problem.teacher, trained, space)
    kind, watch = problem.task.kind, problem.watch
    return Judge(realiser, problem.tokenizer, rows, rows, journal, kind=kind, watch=watch, watched=ZERO_SHOT)


def ladder(judge: Judge) -> tuple[Rung]:
    """Return the only step of the evaluation: the answers on all judging rows."""
    return (Rung(ZERO_SHOT, len(judge.held_out)),)


def even_seeds(space: Space) -> list[Proposal]:
    """Return where a search of lengths starts: equal shares, and equal falls."""
    falls = np.linspace(1.0, 0.0, len(space.groups) + 2)[1:-1]
    return [Proposal(space.uniform(), "uniform"), Proposal(space.project(falls), "falling")]


def searched(problem: Problem, judge: Judge, seeds: Sequence[Proposal], count: int = CANDIDATES) -> Outcome:
    """Search the lengths under the budget: evolution by swaps.

    Args:
        problem: Seed and engine.
        judge: Who measures.
        seeds: Where it starts.
        count: Candidates in all.

    Returns:
        The outcome.
    """
    space = judge.realiser.space
    search = Search(judge, space, ladder(judge), problem.seed, problem.engine, problem.watch)
    return search.evolve(seeds, count // 4 if problem.quick else count)
