"""Who measures: this process, or workers that may be lost. The journal has one writer: the process that searches.

A search asks for a round of candidates at a time, and a round is what workers share. Whoever measures, and in which
order they finish, the round's values are written and used in the order in which they were asked for: the same seed
gives the same winner and the same journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from leanformer.errors import RunError
from leanformer.search.journal import Key
from leanformer.search.space import Candidate
from leanformer.training import processes

if TYPE_CHECKING:
    from leanformer.search.evaluate import Judge

IN_PROCESS, RAY = "in-process", "ray"
ENGINES = (IN_PROCESS, RAY)


class Engine(Protocol):
    """Measures the candidates of a round."""

    def measure(
        self, judge: Judge, candidates: Sequence[Candidate], fidelity: str, rows: int
    ) -> Iterator[float]:
        """Measure candidates at a fidelity; the judge's journal knows them afterwards.

        Args:
            judge: Who knows how; its journal is written by the caller's process alone.
            candidates: The round.
            fidelity: One of `leanformer.search.evaluate.FIDELITIES`.
            rows: How many held-out rows to read.

        Returns:
            The divergences as they become known, in the order of the candidates.
        """
        ...


class InProcess:
    """Measures here, one after the other."""

    def measure(
        self, judge: Judge, candidates: Sequence[Candidate], fidelity: str, rows: int
    ) -> Iterator[float]:
        """Measure candidates at a fidelity; see `Engine.measure`."""
        for candidate in candidates:
            yield judge.measure(candidate, fidelity, rows)


@dataclass(frozen=True)
class Measurement:
    """What a worker found.

    Attributes:
        value: The divergence.
        seconds: What measuring cost the worker.
    """

    value: float
    seconds: float


class Pool(Protocol):
    """Workers; a lost one costs only its candidate, which another measures again."""

    def measurements(self, judge: Judge, keys: Sequence[Key]) -> Iterator[Measurement]:
        """Measure what the journal does not know.

        Args:
            judge: What workers need to know; the pool sends it, without its journal.
            keys: Candidates, each with a fidelity and its rows.

        Returns:
            The measurements as they become known, in the order of the keys.
        """
        ...


@dataclass(frozen=True)
class Pooled:
    """Measures on a pool of workers, and writes what they find.

    Attributes:
        pool: The workers.
    """

    pool: Pool

    def measure(
        self, judge: Judge, candidates: Sequence[Candidate], fidelity: str, rows: int
    ) -> Iterator[float]:
        """Measure candidates at a fidelity; see `Engine.measure`."""
        if not judge.travels(fidelity):
            yield from InProcess().measure(judge, candidates, fidelity, rows)
            return
        keys = [judge.key(candidate, fidelity, rows) for candidate in candidates]
        missing = [key for key in dict.fromkeys(keys) if judge.journal.get(key) is None]
        found = self.pool.measurements(judge, missing) if missing else iter(())
        for key in keys:
            known = judge.journal.get(key)
            if known is not None:
                yield float(known["value"])
                continue
            measured = next(found)
            judge.journal.record(key, measured.value, measured.seconds)
            yield measured.value


def default_engine() -> Engine:
    """Return this process, or where several were launched together, all of them."""
    if processes.count() == 1:
        return InProcess()
    from leanformer.search.process_engine import ProcessPool

    return Pooled(ProcessPool())


@contextmanager
def open_engine(name: str = IN_PROCESS, address: str | None = None) -> Iterator[Engine]:
    """Open an engine for one run; the workers' connection is closed at the end.

    Args:
        name: One of `ENGINES`.
        address: Of the Ray cluster; by default the one that `ray start` began on this machine.

    Yields:
        The engine.

    Raises:
        RunError: If there is no such engine, an address is given to one that has none, the cluster does not answer,
            or this is one of several processes that train together.
    """
    if name not in ENGINES:
        raise RunError(f"there is no engine '{name}': choose --engine {' or '.join(ENGINES)}")
    if name == IN_PROCESS:
        if address is not None:
            raise RunError(f"--address {address} names a Ray cluster: add --engine {RAY}")
        yield default_engine()
        return
    if processes.count() > 1:
        raise RunError(
            f"--engine {RAY} is for a run of one process: leave out the engine, or accelerate launch"
        )
    from leanformer.search.ray_engine import connected

    with connected(address) as pool:
        yield Pooled(pool)
