"""Budgets refuse what can not be a constraint, and say in words what they ask for."""

from __future__ import annotations

import pytest

from leanformer.budget import Budget, Target
from leanformer.errors import BudgetError


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"pruning_ratio": 0.0}, r"pruning ratio 0 lies outside \(0, 1\)"),
        ({"pruning_ratio": 1.0}, r"pruning ratio 1 lies outside \(0, 1\)"),
        ({"speedup": 1.0}, r"speed-up of 1 is none.*--speedup 2"),
        ({"speedup": float("inf")}, "speed-up of inf is none"),
        ({"speedup": float("nan")}, "speed-up of nan is none"),
        ({"latency_ms": 0.0}, "--latency-ms 0 is no budget"),
        ({"size_mb": -1.0}, "--size-mb -1 is no budget"),
        ({"macs_share": 1.0}, r"share 1 of the multiply-accumulates lies outside \(0, 1\)"),
        ({"max_drop_points": -0.5}, "--max-drop -0.5 lies outside 0 to 100"),
        ({"max_flips_percent": 100.5}, "--max-flips 100.5 lies outside 0 to 100"),
        ({"max_bias_increase": -0.01}, "--max-bias-increase -0.01 is no limit"),
        ({"max_bias_increase": float("nan")}, "--max-bias-increase nan is no limit"),
    ],
)
def test_what_can_not_be_a_constraint_is_refused(limits, sentence):
    with pytest.raises(BudgetError, match=sentence):
        Budget(**limits)


def test_an_empty_batch_is_refused():
    with pytest.raises(BudgetError, match="--target-batch 0 can not be timed"):
        Target(batch=0)


def test_an_open_budget_takes_half_where_a_method_needs_one():
    assert Budget().is_open
    assert Budget(max_drop_points=1.0).is_open
    assert Budget(max_drop_points=1.0).or_half() == Budget(0.5, max_drop_points=1.0)
    assert Budget(size_mb=20.0).or_half() == Budget(size_mb=20.0)
    assert Budget(macs_share=0.6).or_half() == Budget(macs_share=0.6)


def test_only_time_asks_for_time():
    assert Budget(speedup=2.0).asks_for_time
    assert Budget(latency_ms=5.0).asks_for_time
    assert not Budget(0.5, size_mb=20.0, macs_share=0.5).asks_for_time


def test_in_words():
    assert Budget().words() == "no budget"
    assert Budget(0.5, size_mb=20.0).words() == "pruning ratio 0.5 and at most 20 MB"
    assert Budget(speedup=3.0, max_drop_points=1.0).words() == "3 times faster and at most 1 point lost"
    assert Budget(macs_share=0.4).words() == "at most 0.4 of the multiply-accumulates"
    assert Target("onnxruntime", "int8", 8).words() == "onnxruntime int8, batch 8"


def test_limits_on_what_may_change_say_not_how_far_to_go():
    both = Budget(max_flips_percent=2.0, max_bias_increase=0.01)
    assert both.is_open
    assert both.is_silent
    assert both.words() == "at most 2% of the answers changed and a swap gap at most 0.01 larger"
    assert both.or_half() == Budget(0.5, max_flips_percent=2.0, max_bias_increase=0.01)
    assert not Budget(max_drop_points=1.0).is_silent
