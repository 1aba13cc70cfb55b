"""The verdict is as plain about a loss as about a gain."""

from __future__ import annotations

from typing import Any

import pytest
from report_example import example_budget, example_result

from leanformer.report.words import gone_words, verdict


def changed(drop: float, interval: list[float], **others: Any) -> dict[str, Any]:
    return example_result() | {"drop_points": drop, "drop_interval": interval, "bench": []} | others


def headline(result: dict[str, Any]) -> str:
    return verdict(result).headline.replace("\u00a0", " ")


def notes(result: dict[str, Any]) -> str:
    return " ".join(verdict(result).notes).replace("\u00a0", " ")


def test_good_run_reads_as_one_sentence(result: dict[str, Any]) -> None:
    assert headline(result) == (
        "Half of the encoder is gone; the accuracy fell by 0.7 points (95% interval −0.5 to 2.0, n = 408), "
        "and it answers 1.9 times as fast at batch 1."
    )
    assert verdict(result).tone == "good"
    assert (
        "408 rows can not tell this difference from none; a loss of up to 2.0 points is not ruled out."
        in notes(result)
    )


def test_a_rise_turns_the_interval_around() -> None:
    result = changed(-0.8, [-2.1, 0.4])
    assert "rose by 0.8 points (95% interval −0.4 to 2.1, n = 408)" in headline(result)


def test_a_drop_that_rounds_to_zero_is_no_drop() -> None:
    assert "did not change (95% interval of the drop −1.0 to 1.1 points" in headline(
        changed(0.02, [-1.0, 1.1])
    )
    assert "−0.0" not in headline(changed(-0.02, [-0.04, 1.1]))


def test_a_small_but_certain_loss_is_called_real() -> None:
    result = changed(1.2, [0.3, 2.2])
    assert "small but real" in notes(result)
    assert verdict(result).tone == "mixed"


def test_a_loss_beyond_the_budget_is_not_called_small() -> None:
    budget = example_budget("torch", "fp32", 1, max_drop_points=(1.0, 1.2, 0.3, 2.2, False))
    result = changed(1.2, [0.3, 2.2]) | {"budget": budget}
    assert "The loss is real" in notes(result)


@pytest.mark.parametrize(
    ("interval", "words"), [([2.9, 8.0], "chance does not explain it"), ([-0.3, 9], "too few")]
)
def test_a_large_drop_is_called_large(interval: list[float], words: str) -> None:
    result = changed(5.1, interval)
    assert "fell by 5.1 points" in headline(result)
    assert "This is a large drop" in notes(result)
    assert words in notes(result)
    assert verdict(result).tone == "bad"


def test_a_certain_gain_is_called_real() -> None:
    assert "The gain is real on these rows" in notes(changed(-2.0, [-3.5, -0.4]))


@pytest.mark.parametrize(
    ("ratio", "interval", "words"),
    [
        (
            1.03,
            [0.97, 1.08],
            "but it is not measurably faster at batch 1 (1.03 times the speed, 95% interval 0.97",
        ),
        (0.8, [0.75, 0.86], "but it is slower at batch 1 (0.80 times the speed"),
        (2.4, [1.0, 3.9], "but it is not measurably faster at batch 1"),
    ],
)
def test_no_speed_gain_is_said(ratio: float, interval: list[float], words: str) -> None:
    result = changed(0.7, [-0.5, 2.0], speedup={"1": ratio}, speedup_interval={"1": interval})
    assert words in headline(result)
    assert verdict(result).tone == "mixed"


def test_a_larger_batch_without_gain_is_noted() -> None:
    result = changed(
        0.7, [-0.5, 2], speedup={"8": 1.0, "1": 1.9}, speedup_interval={"1": [1.8, 2], "8": [0.9, 1.1]}
    )
    assert "1.9 times as fast at batch 1" in headline(result)
    assert "At batch 8 it is not measurably faster (1.00 times the speed" in notes(result)


def test_unmeasured_speed_is_no_claim(bare_result: dict[str, Any]) -> None:
    assert headline(bare_result).endswith("but its speed was not measured.")


def test_a_timing_without_interval_is_no_gain(result: dict[str, Any]) -> None:
    result["speedup_interval"] = {}
    assert "one timing without an interval" in headline(result)
    assert verdict(result).tone == "mixed"


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (0.5, "Half of the encoder is gone"),
        (0.335, "Two thirds of the encoder is gone"),
        (0.2, "80% of the encoder is gone"),
        (0.75, "A quarter of the encoder is gone"),
        (1.0, "Nothing was removed from the encoder"),
    ],
)
def test_how_much_is_gone(kept: float, words: str, result: dict[str, Any]) -> None:
    result["compressed"]["encoder_parameters"] = int(kept * result["dense"]["encoder_parameters"])
    assert gone_words(result) == words


def test_zeros_are_not_called_gone() -> None:
    result = example_result(granularity="weight") | {
        "speedup": {"1": 1.0},
        "speedup_interval": {"1": [0.98, 1.02]},
    }
    assert headline(result).startswith("Half of the encoder's weights are zero; ")
    assert "plain runtimes multiply by zeros" in notes(result)


def test_the_original_in_a_better_runtime_wins_when_it_does(result: dict[str, Any]) -> None:
    for row in result["bench"]:
        if row["model"] == "compressed":
            row.update(ratio=2.0, ratio_low=1.9, ratio_high=2.1)
    assert "for speed alone, the original in OpenVINO int8 is the better choice" in notes(result)
    assert verdict(result).tone == "mixed"


def test_overlapping_runtimes_have_no_winner(result: dict[str, Any]) -> None:
    for row in result["bench"]:
        if row["model"] == "compressed":
            row.update(ratio=2.95, ratio_low=2.8, ratio_high=3.1)
    assert "the clock finds no clear winner" in notes(result)


def test_a_fallen_int8_is_never_the_fastest(result: dict[str, Any]) -> None:
    for row in result["bench"]:
        if row["runtime"] == "openvino" and row["model"] == "compressed":
            row["ratio"] = 1.5
    assert "ONNX Runtime int8) 4." not in notes(result)
    assert "(ONNX Runtime fp32) 2.8 times" in notes(result)


def test_a_missed_ratio_is_said(result: dict[str, Any]) -> None:
    result.update(pruning_ratio=0.8, pruning_ratio_reached=0.72)
    assert "A pruning ratio of 0.8 was asked for; 0.720 was reached." in notes(result)


def test_the_test_set_is_told_only_when_there_is_one(
    result: dict[str, Any], bare_result: dict[str, Any]
) -> None:
    assert "On the test set (n = 1,725) the accuracy went from 79.1 to 78.4" in notes(result)
    assert "test set" not in notes(bare_result)


def test_what_is_served_is_told_of_the_test_set_too(result: dict[str, Any]) -> None:
    assert "As it is served" not in notes(result)
    result["serve"] = {"runtime": "onnxruntime", "precision": "int8", "form": ""}
    result["test"]["served"] = {"score": 0.801, "drop_points": -1.0, "drop_interval": [-2.5, 0.4]}
    assert (
        "As it is served, in ONNX Runtime int8, it is 80.1, a drop of −1.0 points (95% interval −2.5 to 0.4)."
        in notes(result)
    )


def test_equal_answers_are_no_gain() -> None:
    said = verdict(changed(0.0, [0.0, 0.0]))
    assert "gain" not in " ".join(said.notes)
    assert said.notes[0] == "No resample of the 408 rows tells the two models apart."


def test_an_interval_that_ends_at_zero_is_no_certain_gain() -> None:
    assert "can not tell this difference from none" in notes(changed(-0.8, [-1.8, 0.0]))


def test_an_int8_that_was_not_kept_is_never_the_fastest(result: dict[str, Any]) -> None:
    assert "compressed model in its own (OpenVINO int8)" in notes(result)
    for export in result["exports"]:
        export["accepted"] = export["precision"] == "fp32"
    assert "compressed model in its own (OpenVINO fp32)" in notes(result)


def gain_of(ratio: float, low: float, high: float) -> dict[str, Any]:
    names = {"best_plain": "onnxruntime int8", "best_compressed": "openvino int8"}
    return {**names, "ratio": ratio, "low": low, "high": high, "gain": low > 1}


def test_the_gain_is_over_the_best_plain_variant() -> None:
    result = changed(0.2, [-0.5, 0.9], gain={"1": gain_of(1.8, 1.7, 1.9), "8": gain_of(2.5, 2.4, 2.6)})
    said = "Batch 1: 1.80× (1.70 to 1.90) over the best plain variant, ONNX Runtime int8, in OpenVINO int8."
    assert said in notes(result)
    assert verdict(result).tone == "good"


def test_no_gain_names_what_to_use_instead() -> None:
    result = changed(0.2, [-0.5, 0.9], gain={"1": gain_of(1.02, 0.97, 1.06), "8": gain_of(2.5, 2.4, 2.6)})
    assert "Batch 1: no gain over ONNX Runtime int8: use that instead" in notes(result)
    assert "Batch 8: 2.50×" in notes(result)
    assert verdict(result).tone == "mixed"
