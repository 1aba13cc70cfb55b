"""The ladder's picture holds one mark for each step, and keeps them all inside."""

from __future__ import annotations

import random
from typing import Any

import pytest
from test_pictures import WIDTHS, marks

from ladder_example import example_ladder
from leanformer.report.ladder_words import chosen_step
from leanformer.report.pictures.ladder import RUNGS, edge_points, ladder_picture, steps_by_speed


def crowded(steps: int, seed: int = 0) -> dict[str, Any]:
    """A ladder with so many steps, from a gain of 2 points to a loss of 40."""
    draw, ladder = random.Random(seed), example_ladder("missed", rungs=6)
    template = ladder["rungs"][0]["steps"][0]
    for rung in ladder["rungs"]:
        rung["steps"] = []
    for index in range(steps):
        ratio, lost = draw.uniform(0.3, 12), draw.choice((-2.0, 0.0, 0.6, 3.0, 40.0)) * draw.random()
        step = template | {"ratio": ratio, "drop_points": lost, "sound": lost <= 1}
        step |= {"ratio_low": 0.8 * ratio, "ratio_high": 1.3 * ratio}
        ladder["rungs"][index % 6]["steps"].append(step)
    return ladder | {"chosen": [0, 0], "pareto": [[0, 0], [1, 0]]}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_mark_with_its_read_out_and_a_whisker_for_each_step(width: float) -> None:
    ladder = example_ladder()
    picture = steps_by_speed(ladder, width)
    for rung in ladder["rungs"]:
        _, class_ = RUNGS[rung["name"]]
        same = sum(len(other["steps"]) for other in ladder["rungs"] if other["name"] == rung["name"])
        assert len(marks(picture, "step", class_)) == same
        assert len(marks(picture, "reach", class_)) == same
    steps = [step for rung in ladder["rungs"] for step in rung["steps"]]
    assert len(marks(picture, "unsound", "step")) == sum(not step["sound"] for step in steps)
    assert all(mark[0].text and " ms, " in mark[0].text for mark in marks(picture, "step"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("steps", [2, 12, 80])
def test_everything_lies_inside_the_picture(steps: int, width: float) -> None:
    picture = steps_by_speed(crowded(steps), width)
    assert len(marks(picture, "step")) == steps
    height = float(marks(picture, "picture")[0].attrib["viewBox"].split()[-1])
    for mark in marks(picture, "chosen-ring"):
        assert 8 < float(mark.attrib["cx"]) < width - 8
        assert 8 < float(mark.attrib["cy"]) < height - 40
    for whisker in marks(picture, "reach"):
        assert 38 <= float(whisker.attrib["x1"]) < float(whisker.attrib["x2"]) <= width
        assert 34 <= float(whisker.attrib["y1"]) < height - 40


def test_faster_is_right_and_losing_more_is_lower() -> None:
    ladder = example_ladder(rungs=1)
    first, second = ladder["rungs"][0]["steps"][:2]
    first.update(ratio=1.0, drop_points=0.2)
    second.update(ratio=2.0, drop_points=0.9)
    assert chosen_step(ladder) not in (first, second)
    one, two = marks(steps_by_speed(ladder, 880), "step")[:2]
    assert float(one.attrib["cx"]) < float(two.attrib["cx"])
    assert float(one.attrib["cy"]) < float(two.attrib["cy"])


@pytest.mark.parametrize("width", WIDTHS)
def test_large_losses_are_held_at_the_edge_and_that_is_said(width: float) -> None:
    ladder = example_ladder()
    assert edge_points(ladder) is None
    ladder["rungs"][4]["steps"][0].update(drop_points=40.0, sound=False)
    assert edge_points(ladder) == 4.0
    picture = steps_by_speed(ladder, width)
    assert "above 4 at the" in picture
    assert "&gt;4<" in picture
    ladder["rungs"][4]["steps"][1].update(drop_points=12.0, sound=False)
    lowest = sorted(float(line.attrib["y1"]) for line in marks(steps_by_speed(ladder, width), "reach"))[-3:]
    assert lowest[2] == lowest[1] > lowest[0]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_chosen_step_is_ringed_and_named(width: float) -> None:
    ladder = example_ladder()
    picture = steps_by_speed(ladder, width)
    assert len(marks(picture, "chosen-ring")) == 1
    assert [one.text for one in marks(picture, "strong")] == ["ae-bert, 50% pruned"]
    assert f">OpenVINO int8 first-token, {chosen_step(ladder)['ratio']:.2f}×<" in picture


def test_the_label_covers_no_other_step_where_there_is_room() -> None:
    ladder = example_ladder("knee", rungs=2)
    picture = steps_by_speed(ladder, 880)
    label = next(one for one in marks(picture, "halo") if "3.0" in (one.text or ""))
    x, y = float(label.attrib["x"]), float(label.attrib["y"])
    half = 6.2 * len(label.text or "") / 2
    for line in marks(picture, "reach"):
        middle, height = (float(line.attrib["x1"]) + float(line.attrib["x2"])) / 2, float(line.attrib["y1"])
        assert not (x - half < middle < x + half and y - 28 < height < y + 4)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_limit_is_drawn_and_the_speedup_only_where_it_was_asked_for(width: float) -> None:
    asked = steps_by_speed(example_ladder(), width)
    assert len(marks(asked, "one")) == 2
    assert "4.5× asked" in asked
    assert "at most 1 point<" in asked
    open_ = steps_by_speed(example_ladder("knee"), width)
    assert len(marks(open_, "one")) == 1
    assert "asked" not in open_


def test_the_pareto_set_is_one_line_from_slow_to_fast() -> None:
    ladder = example_ladder()
    assert len(ladder["pareto"]) > 2
    ladder["pareto"].reverse()
    (front,) = marks(steps_by_speed(ladder, 880), "front")
    places = [float(point.split()[0]) for point in front.attrib["d"][1:].split(" L")]
    assert len(places) == len(ladder["pareto"])
    assert places == sorted(places)
    ladder["pareto"] = ladder["pareto"][:1]
    assert not marks(steps_by_speed(ladder, 880), "front")


def test_the_legend_names_each_rung_once_and_none_that_was_skipped() -> None:
    picture = ladder_picture(example_ladder())
    legend = picture[picture.index('<ul class="legend"') :]
    assert legend.count("repair") == 2  # its mark's class and its name
    assert "layers" not in legend
    assert "the chosen one" in legend


def test_an_unknown_rung_is_drawn() -> None:
    ladder = example_ladder(rungs=1)
    ladder["rungs"][0]["name"] = "new"
    assert len(marks(steps_by_speed(ladder, 880), "rung-other", "step")) == 5
