"""Timing several runners side by side, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MS_PER_S = 1000.0
FEWEST_ROUNDS = 6  # fewer say nothing about their own spread
Batch = Any
Timer = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """What the clock saw of one runner.

    Attributes:
        first_call_ms: The very first call, in which runtimes prepare themselves; it is in no round.
        rounds_ms: The mean time of a batch in each round; position is the round, so runners can be paired.
    """

    first_call_ms: float
    rounds_ms: tuple[float, ...]


def abba(names: Sequence[str], rounds: int) -> list[list[str]]:
    """Order the runners by round: A B, B A, A B, ... so that a steady drift favours none.

    Args:
        names: The runners.
        rounds: How many rounds.

    Returns:
        The order of each round.
    """
    return [list(names) if number % 2 == 0 else list(reversed(names)) for number in range(rounds)]


def interleave(
    runners: Mapping[str, Callable[[Batch], Any]],
    samples: Sequence[Batch],
    rounds: int,
    limit_s: float | None = None,
    timer: Timer = time.perf_counter,
) -> dict[str, Timing]:
    """Time every runner on the same batches, in rounds.

    Before the rounds every runner sees every batch once, since runtimes prepare themselves anew for each shape. In a
    round each runner gets one call that is not timed (the threads of the runner before it may still be spinning, and
    its data fill the caches), and then the batches.

    Args:
        runners: What to time, by name; each is called with one batch.
        samples: The batches; at least one.
        rounds: How often each runner is timed on all of them.
        limit_s: Stop after this many seconds of rounds, on a busy machine, but not before 6 rounds and never between
            a round and its mirror image.
        timer: A clock in seconds.

    Returns:
        The times by name; all runners have the same number of rounds.
    """
    first_ms = {name: _warm_up(runner, samples, timer) for name, runner in runners.items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    start = timer()
    for number, order in enumerate(abba(list(runners), rounds)):
        late = limit_s is not None and timer() - start > limit_s
        if late and number >= FEWEST_ROUNDS and number % 2 == 0:
            break
        for name in order:
            runners[name](samples[0])
            spent = sum(_timed(runners[name], batch, timer) for batch in samples)
            times[name].append(spent / len(samples))
    return {name: Timing(first_ms[name], tuple(times[name])) for name in runners}


def _warm_up(runner: Callable[[Batch], Any], samples: Sequence[Batch], timer: Timer) -> float:
    """Show the runner every batch; return the milliseconds of its very first call."""
    first_ms = _timed(runner, samples[0], timer)
    for batch in samples[1:]:
        runner(batch)
    return first_ms


def _timed(runner: Callable[[Batch], Any], batch: Batch, timer: Timer) -> float:
    """Return the milliseconds of one call."""
    start = timer()
    runner(batch)
    return MS_PER_S * (timer() - start)
