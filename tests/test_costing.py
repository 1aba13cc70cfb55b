"""What time costs: only what is asked for is measured, and a resumed run reckons with what it knew."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from leanformer import costing
from leanformer.budget import Budget, Target
from leanformer.errors import BudgetError
from leanformer.job import Job
from leanformer.measure.bench import BASELINE
from leanformer.measure.latency import costs, measuring
from leanformer.measure.latency.costs import SublayerCosts
from leanformer.measure.latency.table import Setting
from leanformer.measure.stopwatch import Timing
from leanformer.methods.problem import Problem
from leanformer.tasks.load import DataSpec

TARGET = Target("onnxruntime", "int8", 8)


@pytest.fixture
def asked(monkeypatch):
    """What the latency table was asked for; PyTorch takes twice what the target takes."""
    seen = []

    def read(table, setting):
        factor = 2.0 if (setting.runtime, setting.precision) == BASELINE else 1.0
        return SublayerCosts(setting, ((0, 0.0), (4, factor)), ((0, 0.0), (64, factor)), 0.0, 0.0)

    monkeypatch.setattr(measuring, "measure_table", lambda model, wanted: (seen.append(wanted), (None, 0))[1])
    monkeypatch.setattr(costs, "costs_of", read)
    monkeypatch.setattr(costing, "typical_tokens", lambda problem, batch: 16)
    return seen


def job(target=TARGET, **limits):
    return Job("bert", DataSpec("reviews"), Budget(**limits), "ae-bert", threads=1, target=target)


@pytest.fixture
def rows(tiny_model):
    return SimpleNamespace(teacher=tiny_model("bert"))


def test_of_the_baseline_only_the_whole_model_is_measured(asked, rows):
    facts = costing.price_facts(job(speedup=2.5), rows)
    assert [(wanted.variants, wanted.plan) for wanted in asked] == [
        ([BASELINE], "dense"),
        ([("onnxruntime", "int8")], "brief"),
    ]
    assert facts["dense_torch_ms"] == pytest.approx(8.0)  # two layers, two parts each
    assert facts["deadline_ms"] == pytest.approx(8.0 / 2.5)
    assert costing.price_facts(job(speedup=2.5, latency_ms=3.0), rows)["deadline_ms"] == 3.0
    price = costing.price_from(facts)
    assert price.costs.setting == Setting("onnxruntime", "int8", 8, 16, 1)
    assert price.costs.attention == ((0, 0.0), (4, 1.0))


def test_a_table_that_finds_the_dense_model_fast_enough_is_not_believed(asked, rows, monkeypatch):
    """It takes 4 ms by the table and 8 by the clock, which is no faster than PyTorch: there is all to gain."""
    timed = []

    def stopwatch(job, problem, dense):
        timed.append(job.target)
        return lambda models: {"dense": Timing(8.0, 1.0, 1.0, 1.0)}

    monkeypatch.setattr(costing, "_stopwatch", stopwatch)
    assert costing.price_facts(job(speedup=2.0), rows)["deadline_ms"] == pytest.approx(2.0)
    assert costing.price_facts(job(latency_ms=6.0), rows)["deadline_ms"] == pytest.approx(3.0)
    assert costing.price_facts(job(speedup=1.6, latency_ms=4.0), rows)["deadline_ms"] == pytest.approx(2.0)
    assert timed == [TARGET] * 3
    costing.price_facts(replace(job(speedup=2.0), method="auto"), rows)
    assert len(timed) == 3


def test_without_a_budget_of_time_nothing_is_measured(asked, rows):
    assert costing.price_facts(job(pruning_ratio=0.5), rows) == {}
    assert asked == []
    assert costing.price_from({}) is None


def test_a_target_that_does_not_exist_is_refused(asked, rows):
    with pytest.raises(BudgetError, match="can not be served in torch int8: choose the target among"):
        costing.price_facts(job(Target("torch", "int8"), speedup=2.0), rows)


def test_a_resumed_method_asks_the_table_no_more(asked, tiny_model, mood_held_out, tiny_tokenizer, tmp_path):
    places = (mood_held_out, mood_held_out, Budget(), "unit", 0, tmp_path, True)
    given = Problem(tiny_model("bert"), tiny_tokenizer, None, *places)
    for _ in range(2):
        serving = costing.serving_of(job(speedup=2.0), given, given.teacher)
        pace = serving.pace(Budget(speedup=4.0), TARGET, tmp_path / "price.json")
        assert pace.price.deadline_ms == pytest.approx(2.0)
        assert len(asked) == 2
    with pytest.raises(BudgetError, match="no budget of time"):
        serving.pace(Budget(pruning_ratio=0.5), TARGET, tmp_path / "other.json")


def test_auto_does_not_take_multiply_accumulates_for_time(rows):
    with pytest.raises(BudgetError, match="no measure of time: give --speedup"):
        costing.check_reachable(replace(job(macs_share=0.5), method="auto"), rows, None)
