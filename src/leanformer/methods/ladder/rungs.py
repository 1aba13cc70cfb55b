"""What a ladder of cost is: rungs, the measured steps on them, and which step is taken. Pure, without a clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from leanformer.budget import Budget, Target

MAX_DROP_POINTS = 1.0
"""What may be lost where the user says nothing."""

STANDARD_ERRORS = 1.0
"""The one-standard-error rule (Breiman et al. 1984): what is chosen of many steps was also lucky."""

Why = Literal["budget", "lossy", "knee", "fastest", "missed"]
Place = tuple[int, int]
"""Rung and step."""


@dataclass(frozen=True)
class Step:
    """One model in one runtime, measured on held-out rows and beside the dense model on the clock.

    Attributes:
        runtime: "torch", "onnxruntime" or "openvino".
        precision: One that the runtime has.
        form: One of `leanformer.encoders.forms.FORMS`.
        latency_ms: Median of one batch.
        ratio: The dense model's time in PyTorch float32, divided by this one.
        ratio_low: Lower end of its 95% interval.
        ratio_high: Upper end.
        score: The task's metric, in [-1, 1].
        drop_points: How far that is below the dense model, in points.
        size_mb: Weights on disk in this runtime and precision.
        sound: Whether no more is lost than may be, a standard error added, in a runtime and precision that the user
            wants.
        met: Whether all limits hold.
        drop_error: Standard error of `drop_points`, rows paired.
    """

    runtime: str
    precision: str
    form: str
    latency_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    score: float
    drop_points: float
    size_mb: float
    sound: bool = False
    met: bool = False
    drop_error: float = 0.0

    @property
    def most_lost(self) -> float:
        """What is lost unless the measurement was lucky: a standard error is added."""
        return self.drop_points + STANDARD_ERRORS * self.drop_error

    @property
    def variant(self) -> tuple[str, str, str]:
        """Runtime, precision and form."""
        return self.runtime, self.precision, self.form


@dataclass(frozen=True)
class Rung:
    """One way to a faster model, and what was measured of it.

    Attributes:
        name: "exact", "fewer bits", "trained for int8", "repair", "ae-bert", "trained longer", "layers",
            "fewer tokens" or "early exits".
        words: What it does, for people.
        seconds: What it cost.
        pruning_ratio: Share of the encoder's weights that is gone.
        note: What else is to be said, or "".
        steps: What was measured.
    """

    name: str
    words: str
    seconds: float
    pruning_ratio: float
    note: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Goal:
    """What a climb is after.

    Attributes:
        budget: The limits, if any.
        target: Batch size, and where given the runtime and precision that are to be served.
    """

    budget: Budget
    target: Target

    @property
    def max_drop_points(self) -> float:
        """Most points of score that may be lost on held-out rows."""
        given = self.budget.max_drop_points
        return MAX_DROP_POINTS if given is None else given

    def admits(self, runtime: str, precision: str) -> bool:
        """Whether the user wants to be served in this runtime and precision."""
        runtimes, precisions = {None, runtime}, {None, precision.removesuffix("-eager")}
        return self.target.runtime in runtimes and self.target.precision in precisions

    def _is_wanted(self, step: Step) -> bool:
        return self.admits(step.runtime, step.precision)

    def judged(self, step: Step, pruning_ratio: float) -> Step:
        """Return a step with `sound` and `met` filled in.

        Args:
            step: What was measured.
            pruning_ratio: Share of the encoder's weights that is gone.

        Returns:
            The step; without limits of size or time none is met.
        """
        sound = step.most_lost <= self.max_drop_points and self._is_wanted(step)
        return replace(step, sound=sound, met=sound and self.is_within(step, pruning_ratio))

    def is_within(self, step: Step, pruning_ratio: float) -> bool:
        """Whether a step keeps the limits of size and time, whatever it loses; without any, none does."""
        return not self.budget.is_open and self._shortfall(step, pruning_ratio) <= 1.0

    def _shortfall(self, step: Step, pruning_ratio: float) -> float:
        """Return by what factor the hardest limit is missed; at most 1 where all hold."""
        budget, found = self.budget, [0.0]
        if budget.speedup is not None:
            found.append(budget.speedup / step.ratio)
        if budget.latency_ms is not None:
            found.append(step.latency_ms / budget.latency_ms)
        if budget.size_mb is not None:
            found.append(step.size_mb / budget.size_mb)
        if budget.pruning_ratio is not None:
            found.append((1 - pruning_ratio) / (1 - budget.pruning_ratio + TOLERATED_RATIO))
        return max(found)

    def needed_ratio(self, dense_ms: float) -> float | None:
        """Return the speed-up over the dense model in PyTorch float32 that the limits of time ask for.

        Args:
            dense_ms: What that takes.

        Returns:
            The ratio; None where time is not limited.
        """
        asked = [] if self.budget.speedup is None else [self.budget.speedup]
        asked += [] if self.budget.latency_ms is None else [dense_ms / self.budget.latency_ms]
        return max(asked, default=None)

    def choose(self, rungs: Sequence[Rung]) -> tuple[Place, Why]:
        """Choose the step that is returned.

        Args:
            rungs: All that was climbed, the cheapest first; at least one step.

        Returns:
            With limits of size or time, the first step that meets them, on one rung the fastest. With none but a
            drop, the fastest sound step; with no limit at all, the knee of the Pareto set. Where nothing met the
            limits and the drop was limited by the user, the sound step that came nearest; where only our own
            `MAX_DROP_POINTS` stood in the way, the step that meets the user's limits and loses least.
        """
        every = dict(places(rungs))
        sound = {place: step for place, step in every.items() if step.sound} or every
        if not self.budget.is_open:
            met = [place for place, step in every.items() if step.met]
            if met:
                first = [place for place in met if place[0] == met[0][0]]
                return max(first, key=lambda place: every[place].ratio), "budget"
            missing = {place: self._shortfall(every[place], rungs[place[0]].pruning_ratio) for place in every}
            lossy = [
                place for place, step in every.items() if missing[place] <= 1.0 and self._is_wanted(step)
            ]
            if lossy and self.budget.max_drop_points is None:
                return min(lossy, key=lambda place: (every[place].drop_points, -every[place].ratio)), "lossy"
            return min(sound, key=missing.__getitem__), "missed"
        if self.budget.max_drop_points is not None:
            return max(sound, key=lambda place: sound[place].ratio), "fastest"
        return knee({place: every[place] for place in pareto(rungs)}), "knee"


TOLERATED_RATIO = 0.005
"""A pruning ratio is met within half a percentage point, as everywhere in a search."""


def places(rungs: Sequence[Rung]) -> Iterator[tuple[Place, Step]]:
    """Go through all steps.

    Args:
        rungs: The rungs.

    Yields:
        Where a step lies, and the step.
    """
    for number, rung in enumerate(rungs):
        for position, step in enumerate(rung.steps):
            yield (number, position), step


def pareto(rungs: Sequence[Rung]) -> list[Place]:
    """Return the steps that no other one beats in speed and score together, the slowest first.

    Args:
        rungs: The rungs.

    Returns:
        Places; of equals the first is taken.
    """
    ordered = sorted(places(rungs), key=lambda found: (-found[1].ratio, found[1].drop_points, found[0]))
    front: list[Place] = []
    least = math.inf
    for place, step in ordered:
        if step.drop_points < least:
            front.append(place)
            least = step.drop_points
    return front[::-1]


def knee(front: dict[Place, Step]) -> Place:
    """Return the step of a Pareto set from which on speed costs more than before.

    That is the one farthest from the straight line between the ends of the set, points lost over the logarithm of
    the speed-up, both scaled to their range (Satopää et al. 2011, "Finding a Kneedle in a Haystack").

    Args:
        front: The set, the slowest step first; a gain of score counts as no loss.

    Returns:
        The knee; of two steps or fewer, the fastest that loses no more than `MAX_DROP_POINTS`, else the first.
    """
    order = list(front)
    if len(order) <= 2:
        sound = [place for place in order if front[place].most_lost <= MAX_DROP_POINTS]
        return (sound or order[:1])[-1]
    speeds = [math.log(front[place].ratio) for place in order]
    losses = [max(0.0, front[place].drop_points) for place in order]
    width, height = speeds[-1] - speeds[0] or 1.0, losses[-1] - losses[0] or 1.0
    bends = [
        (speed - speeds[0]) / width - (loss - losses[0]) / height
        for speed, loss in zip(speeds, losses, strict=True)
    ]
    return order[max(range(len(order)), key=lambda number: (bends[number], speeds[number]))]


def record(goal: Goal, rungs: Sequence[Rung], metric: str, rows: int, dense_score: float) -> dict[str, Any]:
    """Return the "ladder" facts of a run.

    Args:
        goal: What was asked for.
        rungs: What was climbed.
        metric: The task's metric.
        rows: Held-out rows that scores were measured on.
        dense_score: The dense model's.

    Returns:
        A dictionary for result.json.
    """
    chosen, why = goal.choose(rungs)
    return {
        "batch": goal.target.batch,
        "metric": metric,
        "n": rows,
        "max_drop_points": goal.max_drop_points,
        "asked": goal.budget.words(),
        "dense_score": dense_score,
        "rungs": [asdict(rung) for rung in rungs],
        "chosen": list(chosen),
        "pareto": [list(place) for place in pareto(rungs)],
        "why": why,
    }


def rung_from(facts: dict[str, Any]) -> Rung:
    """Return a rung as `record` wrote it.

    Args:
        facts: One of its "rungs".

    Returns:
        The rung.
    """
    return Rung(**{**facts, "steps": tuple(Step(**step) for step in facts["steps"])})
