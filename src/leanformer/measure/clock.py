"""Timing several runners side by side, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MS_PER_S = 1000.0
FEWEST_ROUNDS = 6  # fewer say nothing about their own spread
Batch = Any
Timer = Callable[[], float]


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
) -> dict[str, tuple[float, ...]]:
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
        By name, the mean milliseconds of a batch in each round; position is the round, so runners can be paired.
    """
    for runner in runners.values():
        for batch in samples:
            runner(batch)
    times: dict[str, list[float]] = {name: [] for name in runners}
    start = timer()
    for number, order in enumerate(abba(list(runners), rounds)):
        late = limit_s is not None and timer() - start > limit_s
        if late and number >= FEWEST_ROUNDS and number % 2 == 0:
            break
        for name in order:
            runners[name](samples[0])
            total = sum(call_ms(runners[name], batch, timer) for batch in samples)
            times[name].append(total / len(samples))
    return {name: tuple(spent) for name, spent in times.items()}


def call_ms(runner: Callable[[Batch], Any], batch: Batch, timer: Timer = time.perf_counter) -> float:
    """Time one call.

    Args:
        runner: What to call.
        batch: What it is called with.
        timer: A clock in seconds.

    Returns:
        Milliseconds.
    """
    start = timer()
    runner(batch)
    return MS_PER_S * (timer() - start)
