from collections import Counter
from itertools import islice, pairwise

import pytest

from leanformer.measure.clock import FEWEST_ROUNDS, MOST_ROUNDS, abba, interleave


class Clock:
    """A clock that runners push on, and a record of who was called with what."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def runner(self, name, seconds):
        def call(batch):
            self.calls.append((name, batch))
            self.now += seconds(len(self.calls), batch) if callable(seconds) else seconds

        return call


def test_order_is_mirrored():
    orders = list(islice(abba(["a", "b", "c"], seed=1), 40))
    for order, mirror in zip(orders[::2], orders[1::2], strict=True):
        assert sorted(order) == ["a", "b", "c"]
        assert mirror == order[::-1]
    assert orders == list(islice(abba(["a", "b", "c"], seed=1), 40))
    assert orders != list(islice(abba(["a", "b", "c"], seed=2), 40))


def test_no_place_and_no_neighbour_is_a_runners_own():
    """Every runner is first, and follows each one (itself too, at the turn of a pair), about equally often."""
    rounds = list(islice(abba("abcd"), 4000))
    first = Counter(order[0] for order in rounds)
    assert all(900 < first[name] < 1100 for name in "abcd")
    followed = Counter(pairwise(name for order in rounds for name in order))
    within = [followed[pair] for pair in followed if pair[0] != pair[1]]
    at_the_turn = [followed[name, name] for name in "abcd"]
    assert max(within) < 1.15 * min(within)
    assert max(at_the_turn) < 1.2 * min(at_the_turn)


def test_calls_are_interleaved():
    clock = Clock()
    interleave({name: clock.runner(name, 0.001) for name in "ab"}, ["x", "y"], rounds=2, timer=clock)
    warm_up = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    block = {name: [(name, "x"), (name, "x"), (name, "y")] for name in "ab"}
    first, second = next(abba("ab"))
    assert clock.calls == [*warm_up, *block[first], *block[second], *block[second], *block[first]]


def test_times_are_a_batch_in_milliseconds():
    clock = Clock()
    cost = {"x": 0.010, "y": 0.030}
    runners = {"a": clock.runner("a", lambda _, batch: cost[batch]), "b": clock.runner("b", 0.005)}
    times = interleave(runners, ["x", "y"], rounds=4, timer=clock)
    assert times["a"] == pytest.approx([20.0] * 4)
    assert times["b"] == pytest.approx([5.0] * 4)


def test_the_first_call_is_in_no_round():
    clock = Clock()
    slow_start = clock.runner("a", lambda calls, _: 9.0 if calls == 1 else 0.002)
    times = interleave({"a": slow_start}, ["x"], rounds=4, timer=clock)
    assert times["a"] == pytest.approx([2.0] * 4)


def test_rounds_come_in_pairs():
    clock = Clock()
    assert len(interleave({"a": clock.runner("a", 1.0)}, ["x"], rounds=3, timer=clock)["a"]) == 4


def test_a_steady_drift_favours_none():
    """A machine that slows down all the time: in ABBA order both copies look alike, in AB order they would not."""
    clock = Clock()
    copies = {name: clock.runner(name, lambda calls, _: 0.001 * calls) for name in "ab"}
    times = interleave(copies, ["x"], rounds=10, timer=clock)
    assert sum(times["a"]) == pytest.approx(sum(times["b"]))
    assert times["a"] != times["b"]


def test_a_busy_machine_gets_fewer_rounds():
    clock = Clock()
    runners = {name: clock.runner(name, 1.0) for name in "ab"}
    times = interleave(runners, ["x"], rounds=100, limit_s=30.0, timer=clock)
    counts = {len(rounds) for rounds in times.values()}
    assert counts == {8}  # four seconds a round: late after 8 of them, the first even number above 30 s
    times = interleave(runners, ["x"], rounds=100, limit_s=0.0, timer=clock)
    assert len(times["a"]) == FEWEST_ROUNDS
    assert len(interleave(runners, ["x"], rounds=2, limit_s=0.0, timer=clock)["a"]) == 2


def test_rounds_go_on_until_the_times_are_good_enough():
    clock = Clock()
    runners, asked = {name: clock.runner(name, 0.001) for name in "ab"}, []

    def enough(times):
        asked.append(len(times["a"]))
        assert len(times["a"]) == len(times["b"])
        return len(times["a"]) >= 12

    assert len(interleave(runners, ["x"], rounds=2, timer=clock, enough=enough)["a"]) == 12
    assert asked == [FEWEST_ROUNDS, 8, 10, 12]
    assert len(interleave(runners, ["x"], rounds=20, timer=clock, enough=enough)["a"]) == 20


def test_rounds_that_never_settle_end():
    clock = Clock()
    runners = {"a": clock.runner("a", 0.001)}

    def never(times):
        return False

    assert len(interleave(runners, ["x"], rounds=2, timer=clock, enough=never)["a"]) == MOST_ROUNDS
    late = interleave(runners, ["x"], rounds=2, limit_s=0.02, timer=clock, enough=never)
    assert FEWEST_ROUNDS < len(late["a"]) < 20
