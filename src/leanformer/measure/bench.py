"""The speed table: every model on every runtime, timed side by side on real texts, each with its own score."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.encoders.forms import PLAIN
from leanformer.errors import DataError
from leanformer.export.cpu import cpu, usable_threads
from leanformer.export.runtimes import PRECISIONS, RUNTIMES, VARIANTS, CompileError, has_form
from leanformer.measure.clock import FEWEST_ROUNDS, Times, interleave
from leanformer.measure.field import Entrant, Field
from leanformer.measure.memory import peak_mb
from leanformer.measure.samples import sample_batches
from leanformer.measure.statistics import bootstrap_ratio_interval, drop_error, is_settled, median_interval
from leanformer.progress import say, track
from leanformer.tasks.judged import examples_in

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.tasks.task import Task

BATCHES = (1, 8)
ROUNDS = 16
FEWEST_ASKED = 2  # one round has no spread, hence no interval
LIMIT_S = 60.0  # of timing a batch size
BASELINE = ("torch", "fp32")
DECIMALS = 4  # of milliseconds, in the record
Variant = tuple[str, str, str]  # runtime, precision, form
Wanted = tuple[str, str, str, str]  # model, runtime, precision, form


@dataclass(frozen=True)
class BenchRow:
    """One model on one runtime at one batch size.

    Attributes:
        model: The model's name; the first one given is the baseline.
        runtime: "torch", "onnxruntime" or "openvino".
        precision: "fp32", "bf16" or "int8"; for torch also "fp32-eager" and "fp32-compiled".
        batch: Texts a batch.
        latency_ms: Median over rounds of the time of one batch, in milliseconds.
        latency_low: Lower end of its 95% interval.
        latency_high: Upper end.
        ratio: The baseline's latency in PyTorch float32 at the same batch size, divided by this one: the speed-up.
        ratio_low: Lower end of its 95% interval, from paired rounds.
        ratio_high: Upper end.
        score: The task's metric on the whole validation set, measured with this very variant.
        n: The examples of that set: rows, questions, or pairs of embeddings.
        size_mb: Weights on disk, in megabytes of 10^6 bytes.
        first_call_ms: The very first call after loading, in which runtimes prepare themselves: one batch of the first
            batch size that was asked for, whichever this row is of. It is in no median.
        rounds: How often it was timed.
        settled: Whether the interval of the ratio is within 5% of it, after 6 rounds or more.
        rounds_ms: The time of one batch in each round, in milliseconds; position is the round, so rows of one batch
            size can be paired.
        peak_mb: Peak resident memory, in megabytes of 10^6 bytes, of a process that loads and runs only this variant
            and answers the longest timed batch; None where it was not measured.
        form: "" for the model as it is, else which of `leanformer.encoders.forms.FORMS`: the same logits, computed
            in another way.
        drop_error: Standard error of the points of score that this variant lies under the baseline, rows paired.
    """

    model: str
    runtime: str
    precision: str
    batch: int
    latency_ms: float
    latency_low: float
    latency_high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    score: float
    n: int
    size_mb: float
    first_call_ms: float
    rounds: int
    settled: bool
    rounds_ms: tuple[float, ...]
    peak_mb: float | None = None
    form: str = PLAIN
    drop_error: float = 0.0


def bench(
    models: Mapping[str, str | Path],
    encoded: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    runtimes: Sequence[str] = RUNTIMES,
    precisions: Sequence[str] = PRECISIONS,
    batches: Sequence[int] = BATCHES,
    threads: int | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
    artefacts: Mapping[str, Path] | None = None,
    calibration: Dataset | None = None,
    limit_s: float | None = None,
    memory: bool = False,
    variants: Mapping[str, Sequence[Variant]] | None = None,
    forms: Sequence[str] = (PLAIN,),
) -> list[BenchRow]:
    """Time and score every variant of every model in one run, side by side.

    Batches are real texts of the validation set, of like length, padded to the longest, spread over the lengths that
    occur; every variant sees the same ones. All runtimes get the same number of threads. Rounds go on until the
    interval of every ratio is within 5% of it, or the time is over; each row says how it ended.

    Args:
        models: Hugging Face folders (or hub ids) by name; the first one, in PyTorch float32, is the baseline and is
            always measured.
        encoded: The whole validation set, encoded and labelled.
        tokenizer: The tokenizer of all models.
        task: The task, which names the metric.
        runtimes: Which runtimes to measure.
        precisions: Which precisions to measure; a runtime without one of them is left out there, and bf16 where the
            processor has none.
        batches: Batch sizes to measure, in texts.
        threads: Threads of every runtime; by default as many as this process may use.
        rounds: How often each variant is timed on all batches, at least; fewer (6 at least) where that takes too
            long.
        seed: Of the intervals and of the orders.
        artefacts: By name, the folder that holds the model's `onnx/` and `openvino/`; what is missing there is made
            and kept. A model without such a folder is exported to a temporary one.
        calibration: Encoded training texts; needed where int8 for OpenVINO has to be made.
        limit_s: Seconds of timing a batch size; 60 by default.
        memory: Whether to measure the peak memory of each variant, in a process of its own.
        variants: By model, exactly these (runtime, precision, form) instead of `runtimes`, `precisions`
            and `forms`.
        forms: Which of `leanformer.encoders.forms.FORMS` to measure, each in every runtime that has it (see
            `leanformer.export.runtimes.has_form`) and precision.

    Returns:
        Rows in the order of batch sizes, models, forms, runtimes. A variant that torch.compile can not compile, or
        that a model does not have, is left out, and that is said.

    Raises:
        DataError: If there are fewer texts than a batch needs, or the batches or rounds are too few to be timed.
        ModelError: If a model can not be loaded, or an exported file belongs to another model.
    """
    check_sizes(batches, rounds)
    if len(encoded) < max(batches):
        raise DataError(
            f"{len(encoded)} texts can not fill a batch of {max(batches)}: give more rows or smaller batches"
        )
    threads = usable_threads() if threads is None else threads
    with tempfile.TemporaryDirectory(prefix="leanformer-bench-") as scratch, _torch_threads():
        homes = {name: (artefacts or {}).get(name, Path(scratch) / str(i)) for i, name in enumerate(models)}
        samples = {size: sample_batches(encoded, tokenizer, size) for size in batches}
        field = Field(models, homes, encoded, tokenizer, task, threads, calibration, samples[batches[0]][0])
        wanted = (
            _wanted(list(models), runtimes, precisions, forms)
            if variants is None
            else _given(models, variants)
        )
        entrants = _enter(field, wanted)
        peaks = _peaks(entrants, samples, threads) if memory else {}
        baseline, rows = entrants[0].logits, []
        errors = {one.name: drop_error(task.metric, baseline, one.logits, field.labels) for one in entrants}
        for size in track(batches, "Timing"):
            rounds_ms = _timed(entrants, samples[size], rounds, LIMIT_S if limit_s is None else limit_s, seed)
            rows += _rows(entrants, rounds_ms, peaks, size, errors, examples_in(encoded, task), seed)
    return rows


def _wanted(
    names: Sequence[str], runtimes: Sequence[str], precisions: Sequence[str], forms: Sequence[str]
) -> list[Wanted]:
    """List the variants of all models; the first one's baseline is always among them."""
    if "bf16" in precisions and "bf16" not in cpu().features:
        say("bf16 is not timed: this processor does not compute in bfloat16")
        precisions = [precision for precision in precisions if precision != "bf16"]
    return [
        (name, runtime, precision, form)
        for number, name in enumerate(names)
        for form in dict.fromkeys((PLAIN, *forms))
        for runtime, precision in VARIANTS
        if (runtime in runtimes and precision in precisions and form in forms and has_form(runtime, form))
        or (number == 0 and (runtime, precision, form) == (*BASELINE, PLAIN))
    ]


def _given(models: Mapping[str, str | Path], variants: Mapping[str, Sequence[Variant]]) -> list[Wanted]:
    """List the variants that were asked for one by one, the baseline before them."""
    first = next(iter(models))
    listed = [(name, *variant) for name in models for variant in variants.get(name, ())]
    return list(dict.fromkeys([(first, *BASELINE, PLAIN), *listed]))


def _enter(field: Field, wanted: Sequence[Wanted]) -> list[Entrant]:
    """Load and score the variants; the first one is the baseline."""
    entrants = []
    for variant in track(wanted, "Preparing and scoring the runtimes"):
        try:
            entrants.append(field.enter(*variant))
        except CompileError as error:
            say(f"{' '.join(filter(None, variant))} is left out: {error}")
    return entrants


def _peaks(
    entrants: Sequence[Entrant], samples: Mapping[int, list[dict[str, np.ndarray]]], threads: int
) -> dict[str, float | None]:
    """Measure the memory of each variant with the longest batch of all, one process at a time."""
    every = [batch for batches in samples.values() for batch in batches]
    longest = max(every, key=lambda batch: batch["input_ids"].size)
    return {
        entrant.name: peak_mb(
            entrant.source, entrant.runner.name, entrant.runner.precision, threads, longest, entrant.form
        )
        for entrant in track(entrants, "Peak memory")
    }


def _timed(
    entrants: Sequence[Entrant],
    samples: Sequence[Mapping[str, np.ndarray]],
    rounds: int,
    limit_s: float,
    seed: int,
) -> dict[str, tuple[float, ...]]:
    """Time all variants until every ratio to the first one is settled."""
    baseline = entrants[0].name

    def enough(times: Times) -> bool:
        intervals = (bootstrap_ratio_interval(times[baseline], times[name], seed) for name in times)
        return all(is_settled(*interval) for interval in intervals)

    runners = {entrant.name: entrant.runner for entrant in entrants}
    return interleave(runners, samples, rounds, limit_s, enough=enough, seed=seed)


def check_sizes(batches: Sequence[int], rounds: int) -> None:
    """Refuse what can not be timed.

    Args:
        batches: Batch sizes, in texts.
        rounds: How often each variant is timed.

    Raises:
        DataError: If a batch is empty, or the rounds are too few for an interval.
    """
    if min(batches, default=0) < 1:
        raise DataError(f"--batch {min(batches, default=0)} can not be timed: give 1 or more")
    if rounds < FEWEST_ASKED:
        raise DataError(f"--rounds {rounds} gives no interval: give {FEWEST_ASKED} or more")


def _rows(
    entrants: Sequence[Entrant],
    rounds_ms: Mapping[str, tuple[float, ...]],
    peaks: Mapping[str, float | None],
    batch: int,
    errors: Mapping[str, float],
    n: int,
    seed: int,
) -> list[BenchRow]:
    """Turn times into rows; the first entrant is the baseline."""
    baseline = rounds_ms[entrants[0].name]
    rows = []
    for entrant in entrants:
        times = rounds_ms[entrant.name]
        ratio = bootstrap_ratio_interval(baseline, times, seed)
        row = BenchRow(
            entrant.model,
            entrant.runner.name,
            entrant.runner.precision,
            batch,
            *median_interval(times, seed),
            *ratio,
            score=entrant.score,
            n=n,
            size_mb=entrant.size_mb,
            first_call_ms=entrant.first_call_ms,
            rounds=len(times),
            settled=len(times) >= FEWEST_ROUNDS and is_settled(*ratio),
            rounds_ms=tuple(round(time_ms, DECIMALS) for time_ms in times),
            peak_mb=peaks.get(entrant.name),
            form=entrant.form,
            drop_error=errors[entrant.name],
        )
        rows.append(row)
    return rows


@contextmanager
def _torch_threads() -> Iterator[None]:
    """Put PyTorch's thread count back afterwards; it holds for the whole process."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
