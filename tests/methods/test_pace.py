"""Under a budget of time the clock has the last word over the search's finalists."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fake_clock import FakeClock, pace

from leanformer.budget import Budget
from leanformer.errors import BudgetError
from leanformer.measure.stopwatch import Timing
from leanformer.methods import ae_bert
from leanformer.methods.pace import ATTEMPTS, FINALISTS, race
from leanformer.methods.registry import METHODS


def test_the_winner_meets_the_budget_on_the_clock(problem):
    clock = FakeClock(1.0)
    found = METHODS["ae-bert"].run(problem(pace=pace(clock, latency_ms=5.1), budget=Budget(latency_ms=5.1)))
    assert clock({"winner": found.model})["winner"].latency_ms <= 5.1
    heats = found.search["heats"]
    assert len(heats) >= 1
    assert len(heats[0]["finalists"]) <= FINALISTS


def test_a_machine_slower_than_its_table_gets_a_smaller_model(problem):
    clock = FakeClock(1.3)
    found = METHODS["ae-bert"].run(problem(pace=pace(clock, speedup=1.5), budget=Budget(speedup=1.5)))
    assert clock({"winner": found.model})["winner"].ratio >= 1.5
    heats = found.search["heats"]
    assert len(heats) == 2
    assert heats[1]["deadline_ms"] < heats[0]["deadline_ms"]
    assert min(heats[0]["shortfalls"]) > 1.0 >= min(heats[1]["shortfalls"])


def test_without_a_clock_the_price_is_believed(problem):
    unasked = replace(pace(FakeClock(1.3), speedup=1.5), clock=None)
    found = METHODS["ae-bert"].run(problem(pace=unasked, budget=Budget(speedup=1.5)))
    assert found.search["heats"] == []
    assert (
        FakeClock(1.0)({"winner": found.model})["winner"].ratio >= 1.5 / 1.02
    )  # within the space's tolerance


def test_a_resumed_run_does_not_ask_the_clock_again(problem):
    first, second = FakeClock(1.0), FakeClock(7.0)
    limits = {"budget": Budget(latency_ms=5.1)}
    found = METHODS["ae-bert"].run(problem(pace=pace(first, latency_ms=5.1), **limits))
    again = METHODS["ae-bert"].run(problem(pace=pace(second, latency_ms=5.1), resume=True, **limits))
    assert second.calls == 0
    assert json.dumps(again.search["heats"]) == json.dumps(found.search["heats"])
    assert [one["kept"] for one in again.search["candidates"] if one["chosen"]] == [
        one["kept"] for one in found.search["candidates"] if one["chosen"]
    ]


class StuckClock(FakeClock):
    """A machine on which nothing gets faster than 8 ms."""

    def __call__(self, models):
        self.calls += 1
        return {name: Timing(8.0, 1.1, 1.0, 1.2) for name in models}


def test_what_no_search_reaches_is_refused_with_the_nearest(problem):
    clock = StuckClock(1.0)
    sentence = rf"at most 5 ms a batch on the target in {ATTEMPTS} searches; the nearest took 8 ms"
    with pytest.raises(BudgetError, match=sentence):
        METHODS["ae-bert"].run(problem(pace=pace(clock, latency_ms=5.0), budget=Budget(latency_ms=5.0)))
    assert clock.calls == ATTEMPTS


def test_a_method_whose_searches_are_cheap_may_search_more_often(tmp_path):
    deadlines = []

    def search(asked):
        deadlines.append(asked.price.deadline_ms)
        return asked

    with pytest.raises(BudgetError, match="in 5 searches"):
        race(
            pace(StuckClock(1.0), latency_ms=5.0),
            tmp_path / "heats.json",
            search,
            ranked=lambda found: [(1,)],
            build=lambda found, candidate: None,
            attempts=5,
        )
    assert len(deadlines) == 5
    assert deadlines == sorted(deadlines, reverse=True)


def test_heats_read_the_calibration_rows_once(problem, monkeypatch):
    read, real = [], ae_bert.calibrate
    monkeypatch.setattr(ae_bert, "calibrate", lambda case: (read.append(case), real(case))[1])
    limits = {"budget": Budget(latency_ms=5.1), "granularity": "unit"}
    found = METHODS["ae-bert"].run(problem(pace=pace(FakeClock(1.1), latency_ms=5.1), **limits))
    assert len(found.search["heats"]) > 1
    assert len(read) == 1
