"""The climb is told in plain words, whatever ended it."""

from __future__ import annotations

from typing import Any

import pytest

from ladder_example import example_ladder
from leanformer.report.ladder_words import (
    asked_speedup,
    chosen_step,
    keeps_all_weights,
    ladder_words,
    lost_words,
    rung_name,
    step_words,
    why_words,
)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (
            "budget",
            "The budget was 4.5 times faster, with at most 1 point lost; the climb ended at “ae-bert, 50% pruned”, "
            "the first rung that meets it.",
        ),
        (
            "missed",
            "The budget was 9 times faster, with at most 1 point lost; no rung meets it, and the nearest that keeps "
            "the score is “ae-bert, 50% pruned”.",
        ),
        (
            "fastest",
            "At most 1 point may be lost, a standard error added; all rungs were tried, and the fastest step within",
        ),
        ("knee", "No budget was given; all rungs were tried, and the knee of the Pareto set, "),
    ],
)
def test_each_end_has_its_words(why: str, words: str) -> None:
    ladder = example_ladder(why)
    assert why_words(ladder).startswith(words)
    assert ladder_words(ladder).startswith(why_words(ladder))


def test_the_words_give_the_chosen_steps_figures() -> None:
    ladder = example_ladder()
    step = chosen_step(ladder)
    words = ladder_words(ladder)
    assert f" OpenVINO int8 first-token is {step['ratio']:.2f} times as fast (95% interval " in words
    assert (
        f"{step['ratio_low']:.2f} to {step['ratio_high']:.2f}) as the original in PyTorch fp32 at batch 1"
        in words
    )
    assert f"loses {round(step['drop_points'], 1):g} points of accuracy on 512 held-out rows" in words


def test_a_limit_that_the_budget_names_is_not_told_twice() -> None:
    ladder = example_ladder() | {"asked": "4.5 times faster and at most 1 point lost"}
    assert why_words(ladder).count("lost") == 1


@pytest.mark.parametrize(
    ("drop", "words"),
    [(0.0, "loses nothing"), (-0.04, "loses nothing"), (1.0, "loses 1 point"), (-0.4, "gains 0.4 points")],
)
def test_losses_and_gains(drop: float, words: str) -> None:
    assert lost_words({"drop_points": drop}) == words


@pytest.mark.parametrize(
    ("asked", "times"),
    [("3 times faster", 3.0), ("at most 20 MB and 2.5 times faster", 2.5), ("at most 5 ms a batch", None)],
)
def test_a_speedup_is_read_from_the_budget(asked: str, times: float | None) -> None:
    assert asked_speedup({"asked": asked}) == times


def test_a_rung_is_named_with_its_pruning_ratio() -> None:
    assert rung_name({"name": "repair", "pruning_ratio": 0.4}) == "repair, 40% pruned"
    assert rung_name({"name": "exact", "pruning_ratio": 0.0}) == "exact"


@pytest.mark.parametrize(("rungs", "keeps"), [(1, True), (2, True), (3, True), (4, False), (7, False)])
def test_rungs_without_pruning_keep_all_weights(rungs: int, keeps: bool) -> None:
    assert keeps_all_weights(example_ladder(rungs=rungs)) is keeps


def test_a_read_out_names_variant_time_speed_and_score() -> None:
    ladder: dict[str, Any] = example_ladder()
    rung = ladder["rungs"][3]
    step = rung["steps"][0] | {"met": False, "latency_ms": 5.123}
    words = step_words(ladder, rung, step)
    assert words.startswith("repair, 20% pruned: ONNX Runtime int8, 5.12 ms, ")
    assert f"accuracy {100 * step['score']:.1f} ({step['drop_points']:.1f} points lost)" in words
    assert "budget" not in words
    assert f"{step['drop_points']:.1f} ±0.4 points lost" in step_words(
        ladder, rung, step | {"drop_error": 0.43}
    )
    assert step_words(ladder, rung, step | {"met": True}).endswith("; meets the budget")
    assert step_words(ladder, ladder["rungs"][5], chosen_step(ladder)).endswith("; the chosen one")
