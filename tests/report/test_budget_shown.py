"""The budget in words: every limit beside what was measured, and for a missed one what to do."""

from __future__ import annotations

from typing import Any

import pytest
from report_example import example_budget, example_result

from leanformer.report.budget import budget_line, budget_tone, budget_views, missed_names, missed_sentences
from leanformer.report.card import model_card
from leanformer.report.page import render
from leanformer.report.words import verdict

MET = {"speedup": (3.0, 3.21, 3.1, 3.4, True), "size_mb": (70.0, 69.6, None, None, True)}
SLOW = (8.0, 5.51, 5.3, 5.7, False)
NEAR = (5.6, 5.51, 5.3, 5.7, False)


def asked(
    runtime: str = "openvino", precision: str = "int8", batch: int = 1, **limits: Any
) -> dict[str, Any]:
    return example_result() | {"budget": example_budget(runtime, precision, batch, **limits)}


def sentence(result: dict[str, Any]) -> str:
    (said,) = missed_sentences(result)
    return said.replace("\u00a0", " ")


def test_each_limit_is_shown_as_asked_and_measured() -> None:
    limits = MET | {
        "pruning_ratio": (0.5, 0.4981, None, None, True),
        "latency_ms": (5.0, 3.512, 3.45, 3.6, True),
        "max_drop_points": (1.0, 0.73, -0.49, 1.96, True),
    }
    views = budget_views(asked(**limits))
    shown = [(view.where, view.asked, view.measured, view.interval) for view in views]
    where = "OpenVINO int8 at batch 1"
    assert [tuple(part.replace("\u00a0", " ") for part in row) for row in shown] == [
        (f"speed-up in {where}", "at least 3×", "3.21×", "3.10 to 3.40"),
        ("size of the weights", "at most 70 MB", "69.6 MB", ""),
        ("pruning ratio", "at least 0.5", "0.498", ""),
        (f"time of a batch in {where}", "at most 5 ms", "3.51 ms", "3.45 to 3.60"),
        ("score lost in OpenVINO int8", "at most 1 point", "0.7 points", "−0.5 to 2.0"),
    ]
    assert all(view.met for view in views)


def test_a_plain_ratio_is_shown_only_where_it_is_missed() -> None:
    assert budget_views(asked(pruning_ratio=(0.5, 0.4981, None, None, True))) == []
    (view,) = budget_views(asked(pruning_ratio=(0.5, 0.43, None, None, False)))
    assert not view.met


def test_a_result_without_a_budget_has_nothing_to_show(result: dict[str, Any]) -> None:
    assert (budget_views(result), missed_sentences(result), budget_line(result)) == ([], [], "")
    assert budget_tone(result) == "good"


def test_a_missed_limit_says_by_how_much_and_what_to_do() -> None:
    result = asked(speedup=SLOW)
    assert sentence(result) == (
        "Budget missed: speed-up in OpenVINO int8 at batch 1 is 5.51× (95% interval 5.30 to 5.70), the "
        "limit is at least 8×; ask for less with --speedup, or choose another target"
    )
    assert missed_names(result) == {"speedup"}


def test_another_variant_that_meets_it_is_named() -> None:
    said = sentence(asked("torch", "fp32", speedup=(5.0, 1.9, 1.8, 2.0, False)))
    assert said.endswith(
        "OpenVINO int8 meets it with 5.51×: serve it there, --target-runtime openvino --target-precision int8"
    )
    said = sentence(asked("torch", "fp32", 8, latency_ms=(12.0, 32.0, 31.0, 33.0, False)))
    assert "OpenVINO int8 meets it with 11.1 ms" in said


def test_a_variant_whose_score_fell_or_whose_file_is_gone_is_not_named() -> None:
    """ONNX Runtime int8 (4.56 times) has lost its score; OpenVINO's int8 file was not kept."""
    result = asked("torch", "fp32", speedup=(4.0, 1.9, 1.8, 2.0, False))
    for export in result["exports"]:
        export["accepted"] = (export["runtime"], export["precision"]) != ("openvino", "int8")
    assert sentence(result).endswith("ask for less with --speedup, or choose another target")


def test_a_miss_within_the_interval_is_said_to_be_doubtful() -> None:
    assert "the limit is at least 5.6×, within that interval;" in sentence(asked(speedup=NEAR))
    assert "within" not in sentence(asked(speedup=SLOW))


def test_lost_points_and_megabytes_have_their_own_advice() -> None:
    drop = asked(max_drop_points=(0.5, 0.73, -0.49, 1.96, False))
    assert sentence(drop).startswith("Budget missed by 0.23 points: score lost")
    assert sentence(drop).endswith("allow more with --max-drop")
    size = asked(size_mb=(60.0, 69.6, None, None, False))
    assert sentence(size).endswith("the limit is at most 60 MB; ask for more with --size-mb")


def test_what_was_not_measured_is_missed() -> None:
    result = asked("openvino", "bf16", speedup=(3.0, None, None, None, False))
    assert "speed-up in OpenVINO bf16 at batch 1 was not measured, the limit is at least 3×" in sentence(
        result
    )
    assert "--target-batch that can be timed here" in sentence(result)
    refused = asked(speedup=(3.0, None, None, None, False))
    for export in refused["exports"]:
        export["accepted"] = export["precision"] == "fp32"
    assert sentence(refused).endswith("was not kept: give --target-precision fp32")


@pytest.mark.parametrize(
    ("limits", "tone"),
    [
        (MET, "good"),
        ({"speedup": NEAR}, "mixed"),
        ({"speedup": (3.0, None, None, None, False)}, "mixed"),
        ({"speedup": SLOW}, "bad"),
        ({"speedup": NEAR, "size_mb": (60.0, 69.6, None, None, False)}, "bad"),
    ],
)
def test_the_tone_of_the_verdict(limits: dict[str, Any], tone: str) -> None:
    result = asked(**limits)
    assert budget_tone(result) == tone
    assert verdict(result).tone == tone


def test_the_verdict_begins_its_notes_with_what_is_missed() -> None:
    said = verdict(asked(speedup=SLOW, **{"size_mb": MET["size_mb"]}))
    assert said.notes[0].startswith("Budget missed: speed-up")
    assert said.notes[0].endswith(".")
    assert sum("Budget" in note for note in said.notes) == 1


def test_a_missed_ratio_is_said_once() -> None:
    result = asked(pruning_ratio=(0.8, 0.72, None, None, False))
    result.update(pruning_ratio=0.8, pruning_ratio_reached=0.72)
    assert sum("0.72" in note for note in verdict(result).notes) == 1


def test_the_card_holds_the_budget_in_one_line() -> None:
    card = model_card(asked(speedup=SLOW, **{"size_mb": MET["size_mb"]})).replace("\u00a0", " ")
    line = (
        "Budget: speed-up in OpenVINO int8 at batch 1 at least 8×: 5.51× (5.30 to 5.70), **missed**; "
        "size of the weights at most 70 MB: 69.6 MB, met."
    )
    assert line in card.splitlines()
    assert "Budget" not in model_card(example_result())


def test_the_page_shows_every_limit_under_the_verdict() -> None:
    page = render(asked(speedup=SLOW, **{"size_mb": MET["size_mb"]}))
    block = page[page.index('id="budget"') :]
    assert page.index('class="verdict bad"') < page.index('id="budget"') < page.index('class="cards"')
    assert block.index('<tr class="missed">') < block.index('<tr class="met">')
    assert "OpenVINO int8 at batch 1" in block
    assert "5.30 to 5.70" in block
    assert 'id="budget"' not in render(example_result())


def test_what_may_change_is_shown_as_measured_on_held_out_rows() -> None:
    result = asked(
        "torch",
        "fp32",
        max_flips_percent=(2.0, 3.125, 1.5, 5.0, False),
        max_bias_increase=(0.01, 0.00412, -0.001, 0.0093, True),
    )
    shown = {view.where: (view.asked, view.measured, view.interval) for view in budget_views(result)}
    assert shown == {
        "held-out answers changed in PyTorch fp32": ("at most 2%", "3.1%", "1.5 to 5.0"),
        "growth of the swap gap on held-out texts in PyTorch fp32": (
            "at most 0.01",
            "0.0041",
            "−0.0010 to 0.0093",
        ),
    }
    assert sentence(result).endswith("search with ae-bert or one-shot, or allow more with --max-flips")
    assert "Budget missed by 1.1%" in sentence(result)
