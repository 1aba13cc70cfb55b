"""The ladder's table shows one step a rung, and fits a narrow terminal."""

from __future__ import annotations

import pytest
from test_terminal_tables import printed

from ladder_example import example_ladder
from leanformer.report.ladder_table import best_step, ladder_table, rung_rows

WHYS = ("budget", "missed", "knee", "fastest")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("why", WHYS)
def test_nothing_is_cut_at_common_widths(why: str, width: int) -> None:
    ladder = example_ladder(why)
    text = printed(ladder_table(ladder), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in rung_rows(ladder):
        assert row.interval in text
        assert row.speed in text
    assert text.count("▸") == 1
    assert ("budget" in text.split("─")[0]) == (why in ("budget", "missed"))


def test_what_each_rung_does_is_said_once() -> None:
    text = printed(ladder_table(example_ladder()), 80)
    assert text.count("repair: pruning with closed-form repair, no training") == 1
    assert "layers 50%: Not climbed: the rung before met the budget." in text


def test_a_second_rung_of_one_name_says_what_it_was_asked_for() -> None:
    ladder = example_ladder()
    for place, factor in ((2, "1.5"), (3, "2")):
        words = f"pruned and repaired without training, {factor} times as fast"
        ladder["rungs"][place].update(name="repair", words=words)
    text = printed(ladder_table(ladder), 120)
    assert "repair: pruned and repaired without training, 1.5 times as fast" in text
    assert text.count("pruned and repaired") == 1
    assert f"repair {rung_rows(ladder)[3].pruned}".rstrip() + ": 2 times as fast" in text
    ladder["rungs"][3]["words"] = ladder["rungs"][2]["words"]
    assert rung_rows(ladder)[3].words == ""


def test_the_rung_where_the_climb_ended_shows_the_chosen_step() -> None:
    ladder = example_ladder()
    ladder["chosen"] = [5, 0]  # not the fastest of its rung
    rows = rung_rows(ladder)
    assert [row.is_chosen for row in rows] == [False] * 5 + [True, False]
    assert rows[5].variant == "ONNX Runtime int8"


def test_a_step_that_meets_the_budget_stands_before_a_faster_one() -> None:
    ladder = example_ladder()
    rung = ladder["rungs"][3]
    slow, fast = rung["steps"][0], rung["steps"][3]
    assert slow["ratio"] < fast["ratio"]
    slow.update(met=True, sound=True)
    fast.update(met=False, sound=True)
    assert best_step(ladder, rung) is slow
    slow["met"] = False
    assert best_step(ladder, rung) is fast


def test_a_rung_without_a_sound_step_shows_the_least_loss_marked() -> None:
    ladder = example_ladder()
    rung = ladder["rungs"][4]
    assert not any(step["sound"] for step in rung["steps"])
    least = min(rung["steps"], key=lambda step: step["drop_points"])
    assert best_step(ladder, rung) is least
    text = printed(ladder_table(ladder), 80)
    assert f"▼{least['drop_points']:.1f}" in text
    assert "▼ none of the rung's steps keeps to 1 point" in text
    assert "▼" not in printed(ladder_table(example_ladder("knee", rungs=2)), 80)


def test_of_a_rung_that_loses_too_much_the_step_shown_is_as_fast_as_asked() -> None:
    ladder = example_ladder()
    rung = ladder["rungs"][4]
    slow, fast = sorted(rung["steps"], key=lambda step: step["ratio"])[-2:]
    slow["drop_points"], fast["drop_points"] = 2.9, 3.2
    ladder["asked"] = f"{(slow['ratio'] + fast['ratio']) / 2:.3f} times faster in OpenVINO int8"
    assert best_step(ladder, rung) is fast


def test_the_standard_error_stands_under_what_is_lost() -> None:
    ladder = example_ladder()
    assert "±" not in printed(ladder_table(ladder), 80)
    for step in ladder["rungs"][3]["steps"]:
        step["drop_error"] = 0.84
    text = printed(ladder_table(ladder), 80)
    assert text.count("±0.8") == 1
    assert "±: one standard error; with it no more than 1 point may be lost" in text


def test_a_rung_that_was_skipped_has_no_step() -> None:
    ladder = example_ladder()
    assert best_step(ladder, ladder["rungs"][6]) is None
    assert rung_rows(ladder)[6].variant == ""


def test_whether_the_budget_is_met_is_told_where_there_is_one() -> None:
    assert [row.met for row in rung_rows(example_ladder())] == [False] * 5 + [True, None]
    assert {row.met for row in rung_rows(example_ladder("knee"))} == {None}


def test_markup_in_a_note_is_not_interpreted() -> None:
    ladder = example_ladder()
    ladder["rungs"][0]["note"] = "[bold]note[/bold]"
    assert "[bold]note[/bold]" in printed(ladder_table(ladder), 80)
