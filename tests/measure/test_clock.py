import pytest

from leanformer.measure.clock import FEWEST_ROUNDS, abba, interleave


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
    assert abba(["a", "b", "c"], 3) == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_calls_are_interleaved():
    clock = Clock()
    interleave({name: clock.runner(name, 0.001) for name in "ab"}, ["x", "y"], rounds=2, timer=clock)
    warm_up = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    block = {name: [(name, "x"), (name, "x"), (name, "y")] for name in "ab"}
    assert clock.calls == [*warm_up, *block["a"], *block["b"], *block["b"], *block["a"]]


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
    times = interleave({"a": slow_start}, ["x"], rounds=3, timer=clock)
    assert times["a"] == pytest.approx([2.0] * 3)


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
