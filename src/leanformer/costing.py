"""From a budget of time to what a search reckons with: the latency table of this machine, and a clock."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.budget import SPARSE, Budget, Target
from leanformer.errors import BudgetError
from leanformer.progress import say
from leanformer.run import Facts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from leanformer.job import Job
    from leanformer.measure.stopwatch import Stopwatch
    from leanformer.methods.pace import Pace
    from leanformer.methods.problem import Problem, Serving
    from leanformer.pipeline import Material
    from leanformer.search.pricing import Price

TOKENS_STEP = 8
"""Lengths are measured in such steps, so that jobs on like texts share a table."""


def price_facts(job: Job, problem: Problem, shorter: bool = False) -> Facts:
    """Measure what the sub-layers of a job's model cost on its target, as far as the latency table does not know.

    Args:
        job: Budget, target and threads.
        problem: The model, and the held-out texts, whose lengths are typical.
        shorter: Whether shorter texts are measured, too; they are where the job removes tokens.

    Returns:
        JSON-ready facts for `price_from`; empty where the budget does not ask for time.

    Raises:
        BudgetError: If the target is none.
        LeanformerError: If the target's runtime is not installed, or the model can not be measured on it.
    """
    from leanformer.encoders.view import EncoderView
    from leanformer.export.runtimes import VARIANTS
    from leanformer.job import AUTO
    from leanformer.measure.bench import BASELINE
    from leanformer.measure.latency.costs import costs_of
    from leanformer.measure.latency.measuring import Wanted, measure_table
    from leanformer.measure.latency.table import Setting
    from leanformer.structure.masks import TOKEN

    target = job.target.variant
    if target not in VARIANTS:
        known = ", ".join(f"{name} {kind}" for name, kind in VARIANTS)
        raise BudgetError(f"a model can not be served in {' '.join(target)}: choose the target among {known}")
    if not job.budget.asks_for_time or job.granularity in SPARSE:
        return {}
    batch, tokens = job.target.batch, typical_tokens(problem, job.target.batch)
    say(f"milliseconds of {job.target.words()}, {tokens} tokens, are looked up or measured")
    # Of the baseline only the whole dense model is asked for.
    measure_table(job.model, Wanted([batch], [tokens], [BASELINE], job.threads, plan="dense"))
    lengths = shorter_lengths(tokens) if shorter or job.granularity == TOKEN else []
    wanted = Wanted([batch], [tokens, *lengths], [target], job.threads, plan="brief")
    table, _ = measure_table(job.model, wanted)
    view = EncoderView(problem.teacher)
    shapes = [(view.heads(layer), view.width(layer)) for layer in range(view.n_layers)]
    dense_ms = costs_of(table, Setting(*BASELINE, batch, tokens, job.threads)).predict_ms(shapes)
    costs, *others = (
        costs_of(table, Setting(*target, batch, some, job.threads)) for some in (tokens, *lengths)
    )
    target_ms, limits = costs.predict_ms(shapes), job.budget
    deadline_ms = _deadline(limits, 1.0, dense_ms)
    if deadline_ms >= target_ms and job.method != AUTO:  # auto has measured it, and reckons by itself
        say("by the table the dense model is as fast as that: it is timed for real")
        timing = _stopwatch(job, problem, problem.teacher)({"dense": problem.teacher})["dense"]
        deadline_ms = _deadline(limits, target_ms / timing.latency_ms, target_ms * timing.ratio)
    facts = {"costs": asdict(costs), "shorter": [asdict(one) for one in others]}
    return {**facts, "deadline_ms": deadline_ms, "dense_torch_ms": dense_ms}


def _deadline(limits: Budget, factor: float, dense_ms: float) -> float:
    """Return the milliseconds of the table that a budget leaves.

    Args:
        limits: The budget.
        factor: What the table says of the target, over what was timed on it.
        dense_ms: The dense model in PyTorch, in milliseconds of the table.

    Returns:
        Milliseconds of the whole model.
    """
    found = [] if limits.latency_ms is None else [factor * limits.latency_ms]
    return min([*found, *([] if limits.speedup is None else [dense_ms / limits.speedup])])


def price_from(facts: Facts) -> Price | None:
    """Return the price that facts hold, as they were measured or as the run has noted them.

    Args:
        facts: What `price_facts` returned.

    Returns:
        The price; None where there is none.
    """
    from leanformer.measure.latency.costs import SublayerCosts
    from leanformer.measure.latency.table import Setting
    from leanformer.search.pricing import Price

    if not facts:
        return None

    def read(noted: dict[str, Any]) -> SublayerCosts:
        knots = {name: tuple(map(tuple, noted[name])) for name in ("attention", "ffn", "step_costs")}
        return SublayerCosts(**{**noted, **knots, "setting": Setting(**noted["setting"])})

    return Price(read(facts["costs"]), facts["deadline_ms"], tuple(map(read, facts.get("shorter", ()))))


def shorter_lengths(tokens: int) -> list[int]:
    """Return the lengths at which sub-layers are measured where tokens leave: a half, a quarter, and one step.

    Args:
        tokens: Of whole texts.

    Returns:
        Tokens, falling.
    """
    shorter = {max(TOKENS_STEP, TOKENS_STEP * -(-tokens // (TOKENS_STEP * part))) for part in (2, 4)}
    return sorted({*shorter, TOKENS_STEP} - {tokens}, reverse=True)


def pace_of(job: Job, material: Material, dense: PreTrainedModel) -> Pace | None:
    """Return what a job's budget of time means for its method.

    Args:
        job: Budget, target and threads.
        material: Price and rows.
        dense: The dense model that candidates are timed beside.

    Returns:
        The pace; None where the budget does not ask for time.
    """
    return None if material.price is None else _pace(job, material.problem, dense, material.price)


def _pace(job: Job, problem: Problem, dense: PreTrainedModel, price: Price) -> Pace:
    from leanformer.methods.pace import Pace

    return Pace(job.budget, price, _stopwatch(job, problem, dense))


def _stopwatch(job: Job, problem: Problem, dense: PreTrainedModel) -> Stopwatch:
    from leanformer.measure.stopwatch import Stopwatch

    rows = problem.held_out, problem.train
    return Stopwatch(dense, problem.tokenizer, *rows, job.target, job.threads, job.seed)


def serving_of(job: Job, problem: Problem, dense: PreTrainedModel) -> Serving:
    """Return how a method that measures speed itself does so.

    Args:
        job: Target, threads and model.
        problem: The rows.
        dense: The dense model that candidates are timed beside.

    Returns:
        The target, and what makes paces for budgets and targets of the method's choice.
    """
    from leanformer.methods.problem import Serving

    def pace(budget: Budget, target: Target, noted: Path, shorter: bool = False) -> Pace:
        asked = replace(job, budget=budget, target=target)
        if not noted.is_file():  # a resumed run reckons with what it reckoned with before
            facts = json.dumps(price_facts(asked, replace(problem, teacher=dense), shorter))
            partial = noted.with_suffix(".partial")
            partial.write_text(facts, encoding="utf-8")
            os.replace(partial, noted)
        price = price_from(json.loads(noted.read_text(encoding="utf-8")))
        if price is None:
            raise BudgetError(f"{budget.words()} is no budget of time: give --speedup or --latency-ms")
        return _pace(asked, problem, dense, price)

    return Serving(job.target, job.threads, pace)


def check_reachable(job: Job, problem: Problem, price: Price | None) -> None:
    """Refuse a budget that can not be reached, before anything is computed.

    Args:
        job: The budget and the method. auto finds out by itself what time it can save.
        problem: The dense model and its texts.
        price: What time costs, where it is known.

    Raises:
        BudgetError: If the budget can not be reached; the sentence names the nearest that can.
    """
    from leanformer.encoders.view import EncoderView
    from leanformer.job import AUTO
    from leanformer.search.depth import layers_to_drop
    from leanformer.search.pricing import budgeted_space, check_size

    view, budget = EncoderView(problem.teacher), job.budget
    if job.granularity == "layer":
        layers_to_drop(view, budget, price)
        return
    if job.granularity == "exit":
        if budget.asks_for_time or budget.size_mb is not None or budget.macs_share is not None:
            raise BudgetError(
                "texts that leave early save layers, each its own number of them: give --pruning-ratio (the share of "
                "layers saved on average), --max-drop, or --option agreement=0.98"
            )
        return
    if job.method != AUTO:
        budgeted_space(view, budget, job.granularity, price, problem.mean_tokens)
        return
    if budget.macs_share is not None:
        raise BudgetError(
            "auto goes by the clock, and multiply-accumulates are no measure of time: give --speedup, or a method "
            "beside --macs-share, for example --method one-shot"
        )
    if budget.pruning_ratio is not None:
        budgeted_space(view, Budget(budget.pruning_ratio), job.granularity)
    if budget.size_mb is not None:
        check_size(view, budget.size_mb, quantised=job.target.precision in ("int8", None))


def typical_tokens(problem: Problem, batch: int) -> int:
    """Return the mean padded length of batches of the job's own texts, rounded up to a step of eight.

    Args:
        problem: Its held-out texts.
        batch: Texts a batch.

    Returns:
        Tokens.
    """
    from leanformer.measure.samples import sample_batches

    size = min(batch, len(problem.held_out))
    samples = sample_batches(problem.held_out, problem.tokenizer, size)
    mean = sum(sample["input_ids"].shape[1] for sample in samples) / len(samples)
    return TOKENS_STEP * -(-round(mean) // TOKENS_STEP)
