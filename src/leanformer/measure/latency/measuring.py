"""Measuring a table: probe by probe, each against the dense probe, each kept as soon as it is done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from leanformer.errors import LatencyError
from leanformer.export.cpu import cpu, usable_threads
from leanformer.export.extras import EXTRA_OF, has_runtime, require
from leanformer.export.loading import load_config
from leanformer.export.runtimes import VARIANTS, Runner
from leanformer.measure.clock import FEWEST_ROUNDS, interleave
from leanformer.measure.latency.costs import SublayerCosts, costs_of
from leanformer.measure.latency.plan import Plan, probes
from leanformer.measure.latency.probe import Workshop, subject_of
from leanformer.measure.latency.store import read_table, write_table
from leanformer.measure.latency.table import Point, Setting, Shape, Table
from leanformer.measure.machine import library_versions, machine
from leanformer.measure.statistics import bootstrap_ratio_interval, median_interval
from leanformer.progress import say, track

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

BATCHES = (1, 8)
TOKENS = (32, 128)
USUAL_PRECISIONS = ("fp32", "bf16", "int8")
ROUNDS = 12
CALLS = 3  # a round
LIMIT_S = 4.0  # of timing one probe in one setting; slow machines get fewer rounds
Variant = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """What is to be measured.

    Attributes:
        batches: Texts a batch.
        tokens: Lengths.
        variants: Runtimes and precisions.
        threads: Threads of every runtime.
        rounds: How often each probe is timed; fewer (6 at least) where that takes too long.
        seed: Of weights, token ids and intervals.
        plan: Which probes.
    """

    batches: Sequence[int] = BATCHES
    tokens: Sequence[int] = TOKENS
    variants: Sequence[Variant] = VARIANTS
    threads: int = 1
    rounds: int = ROUNDS
    seed: int = 0
    plan: Plan = "full"

    def __post_init__(self) -> None:
        """Refuse what can not be timed.

        Raises:
            LatencyError: If a number is too small.
        """
        numbers = (("--batch", self.batches), ("--tokens", self.tokens), ("--threads", [self.threads]))
        for name, values in numbers:
            if min(values, default=0) < 1:
                raise LatencyError(f"{name} {min(values, default=0)} can not be timed: give 1 or more")
        if self.rounds < FEWEST_ROUNDS:
            raise LatencyError(
                f"--rounds {self.rounds} is too few for an interval: give {FEWEST_ROUNDS} or more"
            )

    def settings(self) -> list[Setting]:
        """Return all combinations, those of a runtime together."""
        return [
            Setting(runtime, precision, batch, tokens, self.threads)
            for runtime, precision in self.variants
            for batch in dict.fromkeys(self.batches)
            for tokens in dict.fromkeys(self.tokens)
        ]


def choose_variants(runtimes: Sequence[str], precisions: Sequence[str]) -> list[Variant]:
    """Return the runtimes and precisions that were asked for, or all that are installed.

    Args:
        runtimes: Names of runtimes; none for all that are installed.
        precisions: Names of precisions; none for fp32, int8, and bf16 where the processor computes in it.

    Returns:
        Pairs of both, without those that do not exist.

    Raises:
        LatencyError: If nothing is left, or a name is unknown.
        LeanformerError: If a named runtime is not installed.
    """
    for kind, asked, known in (
        ("runtime", runtimes, {runtime for runtime, _ in VARIANTS}),
        ("precision", precisions, {precision for _, precision in VARIANTS}),
    ):
        if unknown := sorted(set(asked) - known):
            raise LatencyError(f"there is no {kind} '{unknown[0]}': choose of {', '.join(sorted(known))}")
    for runtime in set(runtimes) & set(EXTRA_OF):
        require(EXTRA_OF[runtime])
    usual = [name for name in USUAL_PRECISIONS if name != "bf16" or "bf16" in cpu().features]
    chosen = [
        (runtime, precision)
        for runtime, precision in VARIANTS
        if (runtime in runtimes if runtimes else has_runtime(runtime)) and precision in (precisions or usual)
    ]
    if not chosen:
        raise LatencyError(
            f"{' and '.join(runtimes) or 'no installed runtime'} has no {' or '.join(precisions)}: choose another "
            "runtime or precision"
        )
    return chosen


def measure_table(source: str | Path, wanted: Wanted) -> tuple[Table, int]:
    """Measure what is not yet in a model's latency table; each finished probe is kept at once.

    Args:
        source: The model's folder or hub id; its configuration alone is read.
        wanted: What is to be measured.

    Returns:
        The table as it lies in the cache folder now, and how many probes were measured for it.

    Raises:
        LatencyError: If the model does not take texts of such a length, or the table's file is none.
        ModelError: If the model can not be read, is not supported, or its probes can not be exported.
    """
    config = load_config(source)
    subject = subject_of(config)
    kept = read_table(subject)
    table = kept.without_stale(library_versions())
    if stale := len(kept.points) - len(table.points):
        say(f"{stale} times are of other versions of their runtimes: they are measured again")
    missing = {
        shape: [setting for setting in wanted.settings() if (shape, setting) not in table.known]
        for shape in probes(subject, wanted.plan)
    }
    todo = {shape: settings for shape, settings in missing.items() if settings}
    if not todo:
        return table, 0
    session = {"machine": machine(wanted.threads), "seed": wanted.seed, "created": _now()}
    table = Table(table.subject, (*table.sessions, session), table.points)
    with tempfile.TemporaryDirectory(prefix="leanformer-latency-") as scratch, _torch_threads():
        workshop = Workshop(config, Path(scratch), wanted.seed)
        if max(wanted.tokens) > workshop.longest:
            raise LatencyError(
                f"--tokens {max(wanted.tokens)} is more than {source} takes: give {workshop.longest} at most"
            )
        bench = _Bench(workshop, table.dense, wanted)
        for shape in track(todo, "Measuring sub-layers"):
            points = bench.points(shape, todo[shape], len(table.sessions) - 1)
            table = Table(table.subject, table.sessions, (*table.points, *points))
            write_table(table)
    return table, len(todo)


def known_costs(config: PreTrainedConfig, setting: Setting) -> SublayerCosts:
    """Return the measured costs of a model's sub-layers on this machine.

    Args:
        config: The model's configuration.
        setting: Runtime, precision, batch, tokens and threads.

    Returns:
        The costs.

    Raises:
        LatencyError: If they are not in the table; the sentence says how to measure them.
        ModelError: The architecture is not supported.
    """
    return costs_of(read_table(subject_of(config)), setting)


class _Bench:
    """Times probes against the dense one, which stays loaded."""

    def __init__(self, workshop: Workshop, dense: Shape, wanted: Wanted) -> None:
        self.workshop, self.dense, self.wanted = workshop, dense, wanted
        self.references: dict[Variant, Runner] = {}

    def points(self, shape: Shape, settings: Sequence[Setting], session: int) -> list[Point]:
        """Measure one probe in all settings."""
        points = []
        for variant in dict.fromkeys((one.runtime, one.precision) for one in settings):
            if variant not in self.references:
                self.references[variant] = self._runner(self.dense, variant)
            probe = self._runner(shape, variant)
            for setting in settings:
                if (setting.runtime, setting.precision) == variant:
                    points.append(self._point(shape, setting, probe, self.references[variant], session))
        self.workshop.discard(shape)
        return points

    def _runner(self, shape: Shape, variant: Variant) -> Runner:
        return self.workshop.runner(shape, *variant, self.wanted.threads)

    def _point(self, shape: Shape, setting: Setting, probe: Runner, dense: Runner, session: int) -> Point:
        samples = [self.workshop.batch(setting)] * CALLS
        rounds_ms = interleave({"probe": probe, "dense": dense}, samples, self.wanted.rounds, LIMIT_S)
        ratio = bootstrap_ratio_interval(rounds_ms["probe"], rounds_ms["dense"], self.wanted.seed)
        reference_ms, _, _ = median_interval(rounds_ms["dense"], self.wanted.seed)
        return Point(shape, setting, *ratio, reference_ms, len(rounds_ms["dense"]), session)


def default_threads(threads: int | None) -> int:
    """Return the given number of threads, or as many as this process may use."""
    return usable_threads() if threads is None else threads


def _now() -> str:
    return datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")


@contextmanager
def _torch_threads() -> Iterator[None]:
    """Put PyTorch's thread count back afterwards; it holds for the whole process."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
