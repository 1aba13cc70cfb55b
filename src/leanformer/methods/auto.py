"""auto: the cheapest step that meets the budget. A ladder of cost, each rung measured before the next is climbed.

No paper: the order is that of cost to the user, and the rungs are the project's own parts.

1. exact: every runtime at hand, and the forms of the model that compute the same logits in another way;
2. fewer bits: int8 with its sensitive sub-layers in float, bf16 where the processor has it;
3. trained for int8, only where int8 loses too much: quantisation-aware distillation;
4. repair: the search of AE-BERT and a closed-form repair of what is left, no training;
5. ae-bert: the same, distilled from the dense model;
6. trained longer: that model distilled on, where it lost too much and a budget says how fast it has to be;
7. layers: the last layers go as a whole, distilled;
8. fewer tokens: pruned half of the way, and the unimportant tokens of a text leave it for the rest;
9. early exits: that pruned model, left by the texts that an exit is sure of; the last resort.

Speed is asked for in milliseconds of the runtime and precision in which the dense model is fastest and sound; once
a smaller model was measured, of those in which that one is clearly fastest. The climb stops at the first rung with
a step that meets the budget. Without a budget of size or time, pruning asks for more and more speed until too much
is lost. Loss is measured on held-out rows, which no training here reads: a slice of the training rows, or of the
validation rows where the model arrives trained; what is reported is of other rows. The best of many steps was also
lucky, so that a standard error is added to what each loses (Breiman et al. 1984, the one-standard-error rule).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from leanformer.encoders.forms import PLAIN, forms_for
from leanformer.errors import BudgetError
from leanformer.export.cpu import cpu
from leanformer.export.extras import has_runtime
from leanformer.export.runtimes import VARIANTS, has_form
from leanformer.measure.bench import BASELINE, Variant
from leanformer.measure.sorting import padding
from leanformer.methods.ladder.ascent import Ascent, Built
from leanformer.methods.ladder.half_way import earlier, shorter
from leanformer.methods.ladder.pruning import (
    asked_of,
    distilled,
    distilled_for_int8,
    faster,
    is_sound,
    layers,
    repaired,
    trained_longer,
)
from leanformer.methods.ladder.rungs import Step
from leanformer.methods.problem import Compressed, Problem
from leanformer.training import processes

EXACT_PRECISIONS = ("fp32", "fp32-eager")
FEWER_BITS = ("bf16", "int8")
WORTH_SAYING = 1.05
REPAIRED = (1.25, 1.5, 2.0)
"""So many times faster than the dense model at its best, where no speed is asked for."""

TRAINED = (1.5, 2.0, 3.0, 4.0, 6.0)
CLOSE = 1.25  # a sound and an unsound speed this near are not told apart further


def run(problem: Problem) -> Compressed:
    """Climb the ladder.

    Args:
        problem: What to compress, and what is asked for; `serving` has to be given.

    Returns:
        The model, dense or smaller, and how to serve it.

    Raises:
        BudgetError: If training runs in several processes, or nothing says how speed is measured.
    """
    if processes.count() > 1:
        raise BudgetError(
            "auto measures speed, which needs the machine for itself: name a method with --method"
        )
    if problem.serving is None:
        raise BudgetError("auto needs to know how speed is measured: call it through leanformer compress")
    ascent = Ascent(replace(problem, judges_trained=True), problem.serving)
    for climb in (exact, fewer_bits, trained_for_int8, pruned):
        climb(ascent)
        if ascent.is_met:
            break
    return ascent.answer()


def exact(ascent: Ascent) -> None:
    """Measure the dense model in every runtime and form that gives the same answers."""

    def variants() -> list[Variant]:
        wanted: list[Variant] = [
            (runtime, precision, form)
            for form in forms_for(ascent.problem.teacher.config)
            for runtime, precision in _variants(ascent, EXACT_PRECISIONS)
            if has_form(runtime, form) and (form == PLAIN or precision == "fp32")
        ]
        return wanted or [(*BASELINE, PLAIN)]

    words = "runtimes, and forms of the dense model that answer the same"
    ascent.dense_rung("exact", words, variants, lambda steps: _free_gifts(ascent, steps))


def _free_gifts(ascent: Ascent, steps: Sequence[Step]) -> str:
    """Say what threads and sorting by length are worth; both are the server's business."""
    problem, batch = ascent.problem, ascent.goal.target.batch
    said = []
    lengths = [len(ids) for ids in problem.held_out["input_ids"][:]]
    given = next(one for one in padding(lengths, max(lengths), [batch]) if one.batching == "given")
    if given.tokens_ratio >= WORTH_SAYING:
        said.append(f"batches sorted by length save {given.tokens_ratio:.2f} times the tokens")
    if ascent.serving.threads > 1 and steps:
        best = max(steps, key=lambda step: step.ratio)
        times = ascent.board.times_by_threads(ascent.board.dense, best.variant)
        words = ", ".join(f"{count}: {ms:.3g} ms" for count, ms in times.items())
        said.append(f"{best.runtime} by threads: {words}")
    return "; ".join(said)


def fewer_bits(ascent: Ascent) -> None:
    """Measure the dense model in int8 and bf16, plain and in the form that is fastest in each runtime."""
    kinds = [kind for kind in FEWER_BITS if kind != "bf16" or "bf16" in cpu().features]
    wanted = _variants(ascent, kinds)
    if wanted:
        chosen = [(*pair, form) for pair in wanted for form in _forms(ascent, pair[0])]
        ascent.dense_rung("fewer bits", f"the dense model in {' and '.join(kinds)}", lambda: chosen)


def trained_for_int8(ascent: Ascent) -> None:
    """Train the dense model for int8, where no int8 file kept the score and one is wanted."""
    wanted = [(*pair, form) for pair in _variants(ascent, ["int8"]) for form in _forms(ascent, pair[0])]
    if wanted and not any(step.precision == "int8" for step in ascent.sound()):
        distilled_for_int8(ascent, Built(copy.deepcopy(ascent.problem.teacher)), wanted)


def pruned(ascent: Ascent) -> None:
    """Prune, as far as the budget asks, or further and further where it asks for no size and no time."""
    if ascent.goal.budget.is_open:
        _pruned_further_and_further(ascent)
        return
    for climb in (repaired, distilled, trained_longer, layers, shorter, earlier):
        climb(ascent, asked_of(ascent))
        if ascent.is_met:
            return


def _pruned_further_and_further(ascent: Ascent) -> None:
    low, high = 1.0, None
    repairs = REPAIRED[1:2] if ascent.problem.quick else REPAIRED
    for factor in repairs:
        if not is_sound(repaired(ascent, faster(ascent, factor))):
            break
        low = factor
    for factor in [factor for factor in TRAINED if factor > low]:
        if not is_sound(distilled(ascent, faster(ascent, factor))):
            high = factor
            break
        low = factor
    if high is not None and high / low > CLOSE and not ascent.problem.quick:
        distilled(ascent, faster(ascent, math.sqrt(low * high)))


def _variants(ascent: Ascent, precisions: Collection[str]) -> list[tuple[str, str]]:
    """List what is installed and wanted, in these precisions."""
    return [
        (runtime, precision)
        for runtime, precision in VARIANTS
        if precision in precisions and has_runtime(runtime) and ascent.goal.admits(runtime, precision)
    ]


def _forms(ascent: Ascent, runtime: str) -> list[str]:
    """Return the plain form and the one that is fastest in a runtime; all where none was measured in float."""
    steps = [step for step in ascent.rungs[0].steps if step.runtime == runtime]
    if not steps:
        return [form for form in forms_for(ascent.problem.teacher.config) if has_form(runtime, form)]
    return list(dict.fromkeys([PLAIN, max(steps, key=lambda step: step.ratio).form]))
