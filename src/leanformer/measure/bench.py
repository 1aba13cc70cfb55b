"""The speed table: every model on every runtime, timed side by side on real texts, each with its own score."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leanformer.encoders.forms import PLAIN
from leanformer.errors import DataError, ModelError
from leanformer.export.cpu import usable_threads
from leanformer.export.layout import BYTES_PER_MB, artefact_mb
from leanformer.export.runtimes import (
    PRECISIONS,
    RUNTIMES,
    VARIANTS,
    Runner,
    arrays,
    load_runner,
    predict_with,
)
from leanformer.export.variants import ensure_artefact
from leanformer.measure.clock import call_ms, interleave
from leanformer.measure.statistics import bootstrap_ratio_interval, median_interval
from leanformer.progress import track
from leanformer.tasks.encode import batches as padded_batches
from leanformer.tasks.metrics import score

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.tasks.task import Task

BATCHES = (1, 8)
ROUNDS = 16
FEWEST_ROUNDS = 2  # one has no spread, hence no interval
ROWS_A_ROUND = 40  # split into batches of the size that is timed, within the limits below
FEWEST_BATCHES, MOST_BATCHES = 4, 12
LIMIT_S = 30.0  # of timing a batch size; only a machine that is busy with other work needs longer
BASELINE = ("torch", "fp32")
OTHER_MODEL = 1e-2  # float32 runtimes agree on a model's logits much better than this


@dataclass(frozen=True)
class BenchRow:
    """One model on one runtime at one batch size.

    Attributes:
        model: The model's name; the first one given is the baseline.
        runtime: "torch", "onnxruntime" or "openvino".
        precision: "fp32" or "int8".
        batch: Texts a batch.
        latency_ms: Median over rounds of the time of one batch, in milliseconds.
        latency_low: Lower end of its 95% interval.
        latency_high: Upper end.
        ratio: The baseline's latency in PyTorch float32 at the same batch size, divided by this one: the speed-up.
        ratio_low: Lower end of its 95% interval, from paired rounds.
        ratio_high: Upper end.
        score: The task's metric on the whole validation set, measured with this very variant.
        n: The rows of that set.
        size_mb: Weights on disk, in megabytes of 10^6 bytes.
        first_call_ms: The very first call after loading, in which runtimes prepare themselves: one batch of the first
            batch size that was asked for, whichever this row is of. It is in no median.
        form: "" for the model as it is, else which of `leanformer.encoders.forms.FORMS`: the same logits, computed
            in another way.
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
    form: str = PLAIN


@dataclass(frozen=True)
class Entrant:
    """One variant that takes part: a runner with what was measured of it apart from time."""

    model: str
    runner: Runner
    score: float
    size_mb: float
    first_call_ms: float
    form: str = PLAIN

    @property
    def name(self) -> str:
        """A name that is unique in one bench."""
        return f"{self.model} {self.runner.name} {self.runner.precision} {self.form}"


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
    forms: Sequence[str] = (PLAIN,),
) -> list[BenchRow]:
    """Time and score every variant of every model in one run, side by side.

    Batches are real texts of the validation set, of like length, padded to the longest, spread over the lengths that
    occur; every variant sees the same ones. All runtimes get the same number of threads.

    Args:
        models: Hugging Face folders (or hub ids) by name; the first one, in PyTorch float32, is the baseline and is
            always measured.
        encoded: The whole validation set, encoded and labelled.
        tokenizer: The tokenizer of all models.
        task: The task, which names the metric.
        runtimes: Which runtimes to measure.
        precisions: Which precisions to measure; a runtime without one of them is left out there.
        batches: Batch sizes to measure, in texts.
        threads: Threads of every runtime; by default as many as this process may use.
        rounds: How often each variant is timed on all batches; fewer (6 at least) where that takes too long.
        seed: Of the intervals.
        artefacts: By name, the folder that holds the model's `onnx/` and `openvino/`; what is missing there is made
            and kept. A model without such a folder is exported to a temporary one.
        calibration: Encoded training texts; needed where int8 for OpenVINO has to be made.
        forms: Which of `leanformer.encoders.forms.FORMS` to measure, each in every runtime and precision.

    Returns:
        Rows in the order of batch sizes, models, forms, runtimes.

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
        wanted = [
            (name, runtime, precision, form)
            for number, name in enumerate(models)
            for form in dict.fromkeys((PLAIN, *forms))
            for runtime, precision in VARIANTS
            if (runtime in runtimes and precision in precisions and form in forms)
            or (number == 0 and (runtime, precision, form) == (*BASELINE, PLAIN))
        ]
        first_batch = sample_batches(encoded, tokenizer, batches[0])[0]
        field = _Field(models, homes, encoded, tokenizer, task, threads, calibration, first_batch)
        entrants = [field.enter(*variant) for variant in track(wanted, "Preparing and scoring the runtimes")]
        rows: list[BenchRow] = []
        for size in track(batches, "Timing"):
            samples = sample_batches(encoded, tokenizer, size)
            runners = {entrant.name: entrant.runner for entrant in entrants}
            rounds_ms = interleave(runners, samples, rounds, LIMIT_S)
            rows += _rows(entrants, rounds_ms, size, len(encoded), seed)
    return rows


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
    if rounds < FEWEST_ROUNDS:
        raise DataError(f"--rounds {rounds} gives no interval: give {FEWEST_ROUNDS} or more")


def sample_batches(
    encoded: Dataset, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> list[dict[str, np.ndarray]]:
    """Pick full batches of like length, spread evenly over the lengths that occur.

    Args:
        encoded: The data set.
        tokenizer: Its tokenizer.
        batch_size: Texts a batch.

    Returns:
        4 to 12 batches (fewer where there are too few texts), from long to short, int64 arrays of (batch, tokens).
    """
    order = np.argsort([-len(tokens) for tokens in encoded["input_ids"][:]], kind="stable")
    full = len(order) // batch_size
    count = min(full, int(np.clip(ROWS_A_ROUND // batch_size, FEWEST_BATCHES, MOST_BATCHES)))
    numbers = ((np.arange(count) + 0.5) * full / count).astype(
        int
    )  # the middle of each of `count` equal parts
    chosen = [encoded.select(order[number * batch_size : (number + 1) * batch_size]) for number in numbers]
    return [arrays(batch) for rows in chosen for _, batch in padded_batches(rows, tokenizer, batch_size)]


class _Field:
    """Loads, checks and scores the variants of one bench."""

    def __init__(
        self,
        models: Mapping[str, str | Path],
        homes: Mapping[str, Path],
        encoded: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        threads: int,
        calibration: Dataset | None,
        first_batch: Mapping[str, np.ndarray],
    ) -> None:
        self.models, self.homes = models, homes
        self.encoded, self.tokenizer, self.task = encoded, tokenizer, task
        self.threads, self.calibration, self.first_batch = threads, calibration, first_batch
        self.labels = np.asarray(encoded["label"][:])
        self.torch_logits: dict[str, np.ndarray] = {}  # by model

    def enter(self, model: str, runtime: str, precision: str, form: str = PLAIN) -> Entrant:
        """Load one variant, exporting it where it is missing, time its first call, and score it on all rows."""
        source: str | Path = self.models[model]
        if runtime != "torch":
            source = ensure_artefact(
                self.models[model],
                self.homes[model],
                runtime,
                precision,
                self.tokenizer,
                self.encoded,
                self.calibration,
                form,
            )
        runner = load_runner(source, runtime, precision, self.threads, form)
        first_call_ms = call_ms(runner, self.first_batch)
        logits = predict_with(runner, self.encoded, self.tokenizer)
        if precision == "fp32":
            self._check_same_model(model, source, logits)
        size = artefact_mb(Path(source)) if runtime != "torch" else torch_mb(runner)
        return Entrant(model, runner, score(self.task.metric, logits, self.labels), size, first_call_ms, form)

    def _check_same_model(self, model: str, source: str | Path, logits: np.ndarray) -> None:
        """Refuse an exported file that was left there by another model."""
        known = self.torch_logits.setdefault(model, logits)
        largest = max(1.0, float(np.abs(known).max()))
        difference = float(np.abs(known - logits).max()) if known.shape == logits.shape else float("inf")
        if not difference <= OTHER_MODEL * largest:
            raise ModelError(
                f"{source} answers differently from {self.models[model]} (by {difference:.2g} in a logit): it is of "
                "another model; delete it, and it is made anew"
            )


def torch_mb(runner: Runner) -> float:
    """Return the size of a PyTorch runner's weights as safetensors stores them, shared ones once.

    Args:
        runner: A runner of a PyTorch model.

    Returns:
        Megabytes of 10^6 bytes.
    """
    parameters = runner.model.parameters()  # type: ignore[attr-defined]
    return sum(tensor.numel() * tensor.element_size() for tensor in parameters) / BYTES_PER_MB


def _rows(
    entrants: list[Entrant], rounds_ms: Mapping[str, tuple[float, ...]], batch: int, n: int, seed: int
) -> list[BenchRow]:
    """Turn times into rows; the first entrant is the baseline."""
    baseline = rounds_ms[entrants[0].name]
    rows = []
    for entrant in entrants:
        times = rounds_ms[entrant.name]
        row = BenchRow(
            entrant.model,
            entrant.runner.name,
            entrant.runner.precision,
            batch,
            *median_interval(times, seed),
            *bootstrap_ratio_interval(baseline, times, seed),
            score=entrant.score,
            n=n,
            size_mb=entrant.size_mb,
            first_call_ms=entrant.first_call_ms,
            form=entrant.form,
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
