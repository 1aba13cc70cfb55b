"""The last rungs: half of the speed by pruning, the rest by tokens that leave on the way, or by texts that do.

Pruning alone had lost too much at the whole speed, or did not reach it. Both rungs start from the model that is
pruned half of the way. Neither makes a file smaller: without a limit of time they are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from leanformer.budget import Budget
from leanformer.encoders.forms import PLAIN
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, ModelError
from leanformer.measure.bench import Variant
from leanformer.methods.ladder.ascent import Ascent, Built
from leanformer.methods.ladder.pruning import (
    Asked,
    distilled,
    faster,
    inside,
    is_sound,
    pace_for,
    speed_asked,
    trained_longer,
)
from leanformer.methods.length_adaptive import shortened
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import macs_share
from leanformer.structure.masks import TOKEN

SHORTER, EARLIER = "fewer tokens", "early exits"


def shorter(ascent: Ascent, asked: Asked) -> None:
    """Prune half of the way, then let tokens leave for the rest, as in the Length-Adaptive Transformer."""
    if asked.budget.speedup is None:
        return
    half = faster(ascent, math.sqrt(speed_asked(ascent, asked)))
    half = replace(half, budget=replace(asked.budget, speedup=half.budget.speedup))
    distilled(ascent, half)
    trained_longer(ascent, half, whatever_speed=True)
    if ascent.is_met:
        return

    def build(home: Path) -> Built:
        base, problem = ascent.built(_base(ascent)), inside(ascent, home)
        pace = pace_for(ascent, asked, shorter=True)
        budget = Budget(speedup=asked.budget.speedup)
        small = shortened(
            replace(problem, granularity=TOKEN, budget=budget, pace=pace), base.model, base.masks
        )
        return replace(
            base, model=small.model, masks=small.masks, facts={**base.facts, "training": small.training}
        )

    _climb(ascent, SHORTER, f"tokens leave on the way, distilled, {asked.words}", build)


def earlier(ascent: Ascent, asked: Asked) -> None:
    """Let texts leave that model early, as many as what may still be lost allows: FastBERT's exits and dial."""
    if asked.budget.speedup is None:
        return

    def build(home: Path) -> Built:
        number = _base(ascent)
        lost = min(step.most_lost for step in ascent.rungs[number].steps if step.sound)
        base, method = ascent.built(number), METHODS["fastbert"]
        problem = replace(
            inside(ascent, home),
            teacher=base.model,
            granularity=method.granularities[0],
            budget=Budget(max_drop_points=max(0.0, ascent.goal.max_drop_points - max(0.0, lost))),
            options=method.settings({}),
        )
        small = method.run(problem)
        facts = {**base.facts, "training": small.training, "exits": small.exits}
        view = EncoderView(ascent.problem.teacher)
        left = macs_share(view, base.masks, problem.mean_tokens) * (small.macs_share or 1.0)
        return replace(base, model=small.model, facts={**facts, "macs_share": left})

    # a model that texts leave between its layers has no last one to shorten for the first token
    plain = list(dict.fromkeys((runtime, precision, PLAIN) for runtime, precision, _ in ascent.served()))
    _climb(ascent, EARLIER, f"texts leave where an exit is sure, {asked.words}", build, plain)


def _climb(
    ascent: Ascent,
    name: str,
    words: str,
    build: Callable[[Path], Built],
    variants: Sequence[Variant] | None = None,
) -> None:
    """Climb a rung, or note why this model or this task has none."""
    try:
        ascent.model_rung(name, words, build, variants)
    except (BudgetError, ModelError) as error:
        ascent.skipped(name, words, str(error), 0.0)


def _base(ascent: Ascent) -> int:
    """Return the rung of the fastest pruned model that keeps the score and reads all tokens; refuse if none does."""
    found = [
        (max(step.ratio for step in rung.steps if step.sound), number)
        for number, rung in enumerate(ascent.rungs)
        if rung.pruning_ratio and rung.name not in (SHORTER, EARLIER) and is_sound(rung)
    ]
    if not found:
        raise BudgetError(
            "no pruned model keeps the score, half of the way neither: there is nothing to go on from"
        )
    return max(found)[1]
