"""A budget of time inside a method: what the search has to reach, and the clock that has the last word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from leanformer.budget import Budget
from leanformer.errors import BudgetError
from leanformer.measure.stopwatch import Timing
from leanformer.progress import say
from leanformer.search.space import Candidate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from leanformer.search.pricing import Price

FINALISTS = 3
ATTEMPTS = 3
MARGIN = 0.99  # of what a missed deadline is lowered to: a second miss costs another search
Found = TypeVar("Found")
"""What a search gives."""

Clock = Callable[[Mapping[str, "PreTrainedModel"]], Mapping[str, Timing]]


@dataclass(frozen=True)
class Pace:
    """What a budget of time means for a search.

    Attributes:
        budget: Names the speed-up or the milliseconds.
        price: What the search reckons with.
        clock: Times models on the target, for real; None where nobody asked for the speed, and the price is
            believed.
    """

    budget: Budget
    price: Price
    clock: Clock | None

    def shortfall(self, timing: Timing) -> float:
        """Return how many times too slow a model is; at most 1 where it meets the budget."""
        asked = []
        if self.budget.latency_ms is not None:
            asked.append(timing.latency_ms / self.budget.latency_ms)
        if self.budget.speedup is not None:
            asked.append(self.budget.speedup / timing.ratio)
        return max(asked)

    def tightened(self, shortfall: float) -> Pace:
        """Return the pace under which a search asks for as much less time as its finalists took too much."""
        return replace(self, price=self.price.scaled(MARGIN / shortfall))


@dataclass(frozen=True)
class Heat:
    """One search under a pace, and what the clock said of its best.

    Attributes:
        deadline_ms: What the search reckoned with.
        finalists: The best candidates, best first.
        timings: Of each, on the target.
        shortfalls: How many times too slow each is.
    """

    deadline_ms: float
    finalists: tuple[Candidate, ...]
    timings: tuple[Timing, ...]
    shortfalls: tuple[float, ...]

    @property
    def winner(self) -> Candidate | None:
        """The best finalist that meets the budget, if one does."""
        return next(
            (one for one, short in zip(self.finalists, self.shortfalls, strict=True) if short <= 1.0), None
        )


class Heats:
    """The heats of a run, kept in a file: a resumed run reads the clock's old word, it does not ask again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        self.known = [_heat(facts) for facts in kept]

    def run(
        self,
        number: int,
        pace: Pace,
        ranked: Sequence[Candidate],
        build: Callable[[Candidate], PreTrainedModel],
    ) -> Heat:
        """Time the best candidates of a search, or return what was measured of them before.

        Args:
            number: Which heat of the run this is, from 0.
            pace: The budget and the clock.
            ranked: The candidates, best first.
            build: Makes a candidate's model.

        Returns:
            The heat.

        Raises:
            ValueError: If the pace has no clock.
        """
        if number < len(self.known):
            return self.known[number]
        if pace.clock is None:
            raise ValueError("a heat needs a clock")
        finalists = tuple(ranked[:FINALISTS])
        models = {str(place): build(candidate) for place, candidate in enumerate(finalists)}
        timings = pace.clock(models)
        ordered = tuple(timings[name] for name in models)
        heat = Heat(
            pace.price.deadline_ms, finalists, ordered, tuple(pace.shortfall(timing) for timing in ordered)
        )
        self.known.append(heat)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(one) for one in self.known]), encoding="utf-8")
        os.replace(partial, self.path)
        return heat


def race(
    pace: Pace,
    path: Path,
    search: Callable[[Pace], Found],
    ranked: Callable[[Found], Sequence[Candidate]],
    build: Callable[[Found, Candidate], PreTrainedModel],
    attempts: int = ATTEMPTS,
    learned: Callable[[Pace, Found, Heat], Pace] | None = None,
) -> tuple[Found, Candidate, list[Heat]]:
    """Search, time the finalists, and search again for less time where none was fast enough.

    Args:
        pace: The budget of time; it needs a clock.
        path: Keeps what was timed, so that a resumed run asks no clock again.
        search: Searches under a pace.
        ranked: Gives a search's candidates, best first.
        build: Makes a candidate's model.
        attempts: Searches at most.
        learned: Says what the next search reckons with, from the last one and its heat; by default a deadline that is
            as much shorter as the finalists were too slow.

    Returns:
        The last search, its best finalist that meets the budget, and all heats.

    Raises:
        BudgetError: If no finalist of any search is fast enough.
    """
    heats, asked, tried = Heats(path), pace, []
    for number in range(attempts):
        found = search(asked)
        heat = heats.run(number, asked, ranked(found), partial(build, found))
        tried.append(heat)
        if heat.winner is not None:
            return found, heat.winner, tried
        tell(heat)
        asked = asked.tightened(min(heat.shortfalls)) if learned is None else learned(asked, found, heat)
    raise missed(asked, tried)


def missed(pace: Pace, heats: Sequence[Heat]) -> BudgetError:
    """Say that no search met the budget, and what came nearest.

    Args:
        pace: The budget.
        heats: What was tried.

    Returns:
        The error.
    """
    timings = [timing for heat in heats for timing in heat.timings]
    nearest = min(timings, key=pace.shortfall)
    asked = Budget(speedup=pace.budget.speedup, latency_ms=pace.budget.latency_ms).words()
    return BudgetError(
        f"no candidate was {asked} on the target in {len(heats)} searches; the nearest took {nearest.latency_ms:.3g} "
        f"ms and was {nearest.ratio:.2f} times faster than the dense model in PyTorch: ask for no more than that"
    )


def tell(heat: Heat) -> None:
    """Say on the terminal that a search has to be made again.

    Args:
        heat: The heat that nobody won.
    """
    percent = 100 * (min(heat.shortfalls) - 1)
    say(f"on the target the finalists are {percent:.1f}% too slow: the search is made again")


def _heat(facts: dict[str, Any]) -> Heat:
    return Heat(
        facts["deadline_ms"],
        tuple(tuple(candidate) for candidate in facts["finalists"]),
        tuple(Timing(**timing) for timing in facts["timings"]),
        tuple(facts["shortfalls"]),
    )
