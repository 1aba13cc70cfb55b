"""The rungs that prune: what each is asked for, and one search for all that ask the same."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from leanformer.budget import Budget, Target
from leanformer.encoders.forms import PLAIN
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.export.cpu import cpu
from leanformer.measure.bench import BASELINE, Variant
from leanformer.methods.ae_bert import Found, record, winner_of
from leanformer.methods.ladder.ascent import Ascent, Built
from leanformer.methods.ladder.rungs import Rung, Step
from leanformer.methods.one_shot import refitted
from leanformer.methods.pace import Pace
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.registry import METHODS
from leanformer.methods.steps import quantisation_aware, recovered
from leanformer.search.pricing import Price
from leanformer.search.realise import START
from leanformer.structure.cost import pruning_ratio

SAID_S = 1.0
DISTILLED = "ae-bert"
LONGER = 2
MARGIN = 1.02  # of what pruning asks for: the clock has the last word, and it is noisy
CLEARLY = 1.1
"""So many times as fast a smaller model has to be in another runtime before the search counts in that one."""


@dataclass(frozen=True)
class Asked:
    """What pruning is asked for.

    Attributes:
        budget: The limits, of time on the target and of weights.
        target: What time is counted in.
        words: For people.
    """

    budget: Budget
    target: Target
    words: str


def faster(ascent: Ascent, factor: float) -> Asked:
    """Ask for a model so many times faster than the dense one at its best."""
    best = _plain_ratio(ascent)
    words = f"{factor:.3g} times as fast as the dense model at its best"
    return Asked(Budget(speedup=round(factor * best, 2)), _target(ascent), words)


def speed_asked(ascent: Ascent, asked: Asked) -> float:
    """Return the factor of `faster` that asks for the same speed; 1 where none is asked for."""
    return (asked.budget.speedup or 0.0) / _plain_ratio(ascent) or 1.0


def asked_of(ascent: Ascent) -> Asked:
    """Translate the user's limits to what pruning understands: speed in the plain form, megabytes of float32."""
    budget, sound, target = ascent.goal.budget, ascent.sound(), _target(ascent)
    speedup = ascent.goal.needed_ratio(ascent.dense_ms)
    if speedup is not None and sound:
        pair = (target.runtime, target.precision)
        best = next(step.ratio for step in sound if (step.runtime, step.precision) == pair)
        speedup = round(speedup * MARGIN * _plain_ratio(ascent) / best, 2)
        speedup = speedup if speedup > 1.0 else None
    size_mb = budget.size_mb
    if size_mb is not None and sound:
        float_mb = max(step.size_mb for step in sound)
        size_mb *= float_mb / min(step.size_mb for step in sound)
    limits = Budget(budget.pruning_ratio, speedup, None, size_mb, budget.max_drop_points)
    return Asked(limits, target, budget.words())


def repaired(ascent: Ascent, asked: Asked) -> Rung:
    """Search under the budget, slice, re-fit what is left in closed form; no training."""
    words = f"pruned and repaired without training, {asked.words}"

    def build(home: Path) -> Built:
        searched = _search(ascent, asked)
        return _built(ascent, searched, refitted(searched))

    return _guarded(ascent, "repair", words, asked, build)


def distilled(ascent: Ascent, asked: Asked) -> Rung:
    """Search under the budget, slice, distil: AE-BERT. Int8 that loses too much then is trained for."""
    words = f"pruned and distilled, {asked.words}"

    def build(home: Path) -> Built:
        found, winner, _ = searched = _search(ascent, asked)
        realiser = found.judge.realiser
        small = recovered(inside(ascent, home), realiser.build(winner, START), realiser.masks(winner))
        return _built(ascent, searched, small)

    rung = _guarded(ascent, DISTILLED, words, asked, build)
    number = len(ascent.rungs) - 1
    rounded = any(step.precision == "int8" for step in rung.steps)
    if rounded and not is_sound(rung) and ascent.board.holds(ascent.home(number)):
        return distilled_for_int8(ascent, ascent.built(number))
    return rung


def trained_longer(ascent: Ascent, asked: Asked, whatever_speed: bool = False) -> None:
    """Distil the model of the rung before on, where all that it misses is the score: training brings no speed.

    Args:
        ascent: The climb.
        asked: What that rung was asked for.
        whatever_speed: Whether a model is worth it that is too slow for the budget, since others go on from it.
    """
    before, rung = len(ascent.rungs) - 1, ascent.rungs[-1]
    fits = whatever_speed or any(ascent.goal.is_within(step, rung.pruning_ratio) for step in rung.steps)
    if rung.name != DISTILLED or not rung.steps or not fits or is_sound(rung):
        return

    def build(home: Path) -> Built:
        built = ascent.built(before)
        small = recovered(inside(ascent, home), built.model, built.masks, longer=LONGER)
        return replace(built, model=small.model, facts={**built.facts, "training": small.training})

    ascent.model_rung(
        "trained longer", f"that model distilled on, {LONGER} times as long, {asked.words}", build
    )


def layers(ascent: Ascent, asked: Asked) -> Rung:
    """Drop the last layers as a whole, as far as the budget asks; distil."""
    words = f"the last layers dropped, distilled, {asked.words}"

    def build(home: Path) -> Built:
        method = METHODS["drop-layers"]
        problem = replace(
            inside(ascent, home),
            granularity=method.granularities[0],
            budget=asked.budget,
            pace=pace_for(ascent, asked),
            options=method.settings({"strategy": "top"}),
        )
        small = method.run(problem)
        ratio = pruning_ratio(EncoderView(ascent.problem.teacher), small.masks)
        return Built(small.model, small.masks, ratio, {"training": small.training})

    return _guarded(ascent, "layers", words, asked, build)


def distilled_for_int8(ascent: Ascent, built: Built, variants: Sequence[Variant] | None = None) -> Rung:
    """Train a model with the rounding errors of int8 in force, dense (a copy) or pruned."""
    bits = 7 if cpu().saturates_int8 else 8

    def build(home: Path) -> Built:
        small = quantisation_aware(inside(ascent, home), built.model, built.masks, bits)
        facts = {**built.facts, "training": small.training}
        return replace(built, model=small.model, facts=facts)

    words = "distilled with the rounding errors of int8 in force"
    return ascent.model_rung("trained for int8", words, build, variants)


def _guarded(ascent: Ascent, name: str, words: str, asked: Asked, build: Callable[[Path], Built]) -> Rung:
    """Climb a rung; a budget that no candidate can meet is noted, it does not end the climb.

    The latency table comes before it: the machine needs it once, so that it is no cost of the rung.
    """
    started = time.perf_counter()
    try:
        pace_for(ascent, asked)
        seconds = time.perf_counter() - started
        said = (
            f"the latency table took {seconds:.0f} s before, once on this machine" if seconds > SAID_S else ""
        )
        started = time.perf_counter()
        return ascent.model_rung(name, words, build, note=said)
    except BudgetError as error:
        return ascent.skipped(name, words, str(error), time.perf_counter() - started)


def is_sound(rung: Rung) -> bool:
    """Whether one of a rung's steps loses no more than may be lost."""
    return any(step.sound for step in rung.steps)


def inside(ascent: Ascent, home: Path) -> Problem:
    """Return the problem with a folder of its own for checkpoints; what all rungs share stays where it is.

    Args:
        ascent: The climb.
        home: The folder of a rung.

    Returns:
        The problem.
    """
    home.mkdir(parents=True, exist_ok=True)
    folder = ascent.problem.folder
    cache = ascent.problem.cache or folder / "teacher-outputs"
    return replace(ascent.problem, folder=home, cache=cache, journal=folder / "journal.log")


def _search(ascent: Ascent, asked: Asked) -> Found:
    """Search under what is asked for; rungs that ask the same share one search, and its refusal."""
    if asked not in ascent.searches:
        ascent.searches.clear()  # one at a time: each holds the second moments of the whole encoder
        problem = replace(
            inside(ascent, _shared(ascent, asked)), budget=asked.budget, pace=pace_for(ascent, asked)
        )
        refusal = problem.folder / "out-of-reach.txt"
        if refusal.is_file():
            raise BudgetError(refusal.read_text(encoding="utf-8"))
        try:
            ascent.searches[asked] = winner_of(problem)
        except BudgetError as error:
            refusal.write_text(str(error), encoding="utf-8")
            raise
    return ascent.searches[asked]


def _shared(ascent: Ascent, asked: Asked) -> Path:
    """Return the folder of all rungs that ask the same."""
    return ascent.problem.folder / f"search-{zlib.crc32(repr(asked).encode()):08x}"


def pace_for(ascent: Ascent, asked: Asked, shorter: bool = False) -> Pace | None:
    """Return what the time that is asked for means; where it does not know the machine yet, it measures first.

    A speed that the user did not ask for needs no clock in the search: the rung times its model anyway.

    Args:
        ascent: The climb, whose rungs tell how fast the dense model is on the target.
        asked: The limits.
        shorter: Whether the price of shorter texts is needed, too.

    Returns:
        The pace; None where no time is limited.
    """
    if not asked.budget.asks_for_time:
        return None
    home = _shared(ascent, asked)
    home.mkdir(parents=True, exist_ok=True)
    noted = home / ("price-of-shorter.json" if shorter else "price.json")
    pace = ascent.serving.pace(asked.budget, asked.target, noted, shorter)
    pace = replace(pace, price=_as_measured(ascent, asked, pace.price))
    return replace(pace, clock=None) if ascent.goal.budget.is_open else pace


def _as_measured(ascent: Ascent, asked: Asked, price: Price) -> Price:
    """Return a price whose deadline is a share of the dense model's own time on the target, not of PyTorch's.

    How much faster the target is than PyTorch was measured on the rungs before, side by side; the table times each
    runtime alone, with its weights still in the processor's cache, which tells at batch 1.
    """
    if asked.budget.speedup is None:
        return price
    view = EncoderView(ascent.problem.teacher)
    dense_ms = price.costs.predict_ms([(view.heads(one), view.width(one)) for one in range(view.n_layers)])
    return replace(price, deadline_ms=dense_ms * _plain_ratio(ascent) / asked.budget.speedup)


def _built(ascent: Ascent, found: Found, small: Compressed) -> Built:
    ratio = pruning_ratio(EncoderView(ascent.problem.teacher), small.masks)
    return Built(small.model, small.masks, ratio, {"search": record(*found), "training": small.training})


def _target(ascent: Ascent) -> Target:
    """Return what time is counted in: the runtime and precision that are fastest.

    At first for the dense model. For a smaller one another may be, and as soon as one was measured, that tells.
    """
    dense = _fastest(ascent.sound())
    first = max(dense, key=dense.__getitem__, default=BASELINE)
    smaller = next((rung.steps for rung in reversed(ascent.rungs) if rung.pruning_ratio and rung.steps), ())
    found = {pair: ratio for pair, ratio in _fastest(smaller).items() if pair in dense}
    best = max(found, key=found.__getitem__, default=first)
    runtime, precision = best if found.get(best, 0.0) > CLEARLY * found.get(first, 0.0) else first
    return Target(runtime, precision, ascent.goal.target.batch)


def _fastest(steps: Sequence[Step]) -> dict[tuple[str, str], float]:
    """Return the speed-up of the fastest form, by runtime and precision."""
    return {(step.runtime, step.precision): step.ratio for step in sorted(steps, key=lambda step: step.ratio)}


def _plain_ratio(ascent: Ascent) -> float:
    """Return how fast the dense model is there in its plain form, which is what tables and searches know."""
    target = _target(ascent)
    plain = (target.runtime, target.precision, PLAIN)
    return next((step.ratio for step in ascent.sound() if step.variant == plain), 1.0)
