"""Timing several runners side by side, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

MS_PER_S = 1000.0
FEWEST_ROUNDS = 6  # fewer say nothing about their own spread
MOST_ROUNDS = 200
Batch = Any
Timer = Callable[[], float]
Times = Mapping[str, Sequence[float]]


def abba(names: Sequence[str], seed: int = 0) -> Iterator[list[str]]:
    """Order the runners round by round: pairs of an order drawn at random and its mirror image, without end.

    The mirror image cancels a steady drift. The draw cancels what a place brings: with one order for all rounds the
    same runner always followed the same neighbour, with its caches and its threads that still spin, and the first and
    the last one followed themselves at the turn.

    Args:
        names: The runners.
        seed: Of the draws.

    Yields:
        The order of each round.
    """
    draw = random.Random(seed)
    while True:
        order = draw.sample(list(names), len(names))
        yield order
        yield order[::-1]


def interleave(
    runners: Mapping[str, Callable[[Batch], Any]],
    samples: Sequence[Batch],
    rounds: int,
    limit_s: float | None = None,
    timer: Timer = time.perf_counter,
    enough: Callable[[Times], bool] | None = None,
    seed: int = 0,
) -> dict[str, tuple[float, ...]]:
    """Time every runner on the same batches, in rounds, until the times are good enough.

    Before the rounds every runner sees every batch once, since runtimes prepare themselves anew for each shape. In a
    round each runner gets one call that is not timed (the threads of the runner before it may still be spinning, and
    its data fill the caches), and then the batches. Rounds come in whole pairs of an order and its mirror image.

    Args:
        runners: What to time, by name; each is called with one batch.
        samples: The batches; at least one.
        rounds: How often each runner is timed on all of them, at least; an odd number is rounded up.
        limit_s: Stop after this many seconds of rounds, but not before 6 rounds.
        timer: A clock in seconds.
        enough: Asked after each pair from 6 rounds on whether the times so far suffice; without it, `rounds` do. At
            the latest, 200 rounds (or `rounds`, where that is more) do.
        seed: Of the orders.

    Returns:
        By name, the mean milliseconds of a batch in each round; position is the round, so runners can be paired.
    """
    for runner in runners.values():
        for batch in samples:
            runner(batch)
    times: dict[str, list[float]] = {name: [] for name in runners}
    start = timer()
    for number, order in enumerate(abba(list(runners), seed)):
        if number % 2 == 0 and _is_over(times, number, rounds, enough, _late(timer() - start, limit_s)):
            break
        for name in order:
            runners[name](samples[0])
            total = sum(call_ms(runners[name], batch, timer) for batch in samples)
            times[name].append(total / len(samples))
    return {name: tuple(spent) for name, spent in times.items()}


def _late(spent_s: float, limit_s: float | None) -> bool:
    return limit_s is not None and spent_s > limit_s


def _is_over(
    times: Times, number: int, rounds: int, enough: Callable[[Times], bool] | None, is_late: bool
) -> bool:
    """Whether the rounds so far do: all that were asked for and good enough, or no time for more."""
    if is_late and number >= min(rounds, FEWEST_ROUNDS):
        return True
    if number < rounds:
        return False
    if enough is None or number >= MOST_ROUNDS:
        return True
    return number >= FEWEST_ROUNDS and enough(times)


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
