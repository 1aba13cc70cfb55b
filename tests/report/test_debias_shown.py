"""A debiasing in words, on the terminal and as a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from test_report_in_browser import CHROMIUM, look
from test_terminal_tables import printed

from debias_example import distillation_record, movement_record, without_public
from leanformer.report.debias_page import debias_page
from leanformer.report.debias_table import debias_shown
from leanformer.report.debias_words import headline, level_rows, notes
from leanformer.report.pictures import svg
from leanformer.report.pictures.tradeoff import effect_by_points


def test_the_headline_has_what_it_lowered_and_what_that_cost() -> None:
    assert headline(movement_record()) == (
        "The mean absolute effect size of SEAT 6, 7, 8 fell from 0.91 to 0.60 (34% less), for 0.90 points of "
        "Spearman correlation of cosines on 1,500 validation rows."
    )
    worse = movement_record()
    worse["levels"][1]["public"]["value"] = 0.95
    assert "did not fall: it went from 0.91 to 0.95" in headline(worse)


def test_the_notes_say_how_the_level_was_chosen() -> None:
    said = notes(movement_record())
    assert said[0].startswith("Level 0.1 was chosen: the smallest effect on our own word tests")
    assert "not beyond chance" in said[1]
    assert "7 of 72 heads, 1,100 of 9,216 neurons" in said[2]
    assert said[4] == "2 of the target words are asked about by SEAT 6, 7 or 8, too: art, science."
    missed = notes(movement_record(within=False))
    assert missed[0].startswith(
        "No level loses at most 1 point on 575 rows of train: level 0.1 loses least there."
    )


def test_without_public_tests_our_own_are_shown_and_that_is_said() -> None:
    record = without_public(movement_record())
    assert "own word tests fell from 1.10 to 0.70" in headline(record)
    assert "which flatters it" in notes(record)[-1]
    assert [row["effect"] for row in level_rows(record)] == ["1.10", "0.90", "0.70", "0.40"]


def test_a_distillation_is_held_against_its_control() -> None:
    assert headline(distillation_record()) == (
        "A student of 3 of 6 layers tells the words of a group apart by 0.70 nats where a student of the same "
        "lessons without the groups does by 2.00 (difference −1.35 to −1.25)."
    )
    alone = distillation_record(control=False)
    assert "where the teacher does" in headline(alone)
    assert "There is no control" in notes(alone)[-1]
    assert "left out: duchess" in " ".join(notes(distillation_record()))


@pytest.mark.parametrize(
    "record", [movement_record(), without_public(movement_record()), distillation_record()]
)
def test_nothing_is_cut_on_the_terminal(record: dict) -> None:
    text = printed(debias_shown(record, [("page", "fairer/debias.html")]), 100)
    assert "…" not in text
    assert headline(record)[:60] in " ".join(text.split())
    assert "fairer/debias.html" in text


@pytest.mark.parametrize("width", [svg.WIDE, svg.NARROW])
@pytest.mark.parametrize("record", [movement_record(), without_public(movement_record())])
def test_the_picture_has_a_mark_a_level_within_its_bounds(record: dict, width: float) -> None:
    drawn = ElementTree.fromstring(str(effect_by_points(record, width)))
    marks = [one for one in drawn.iter("circle")]
    assert [one.get("class") for one in marks] == ["behind", "in-front", "behind"]
    _, _, wide, high = map(float, drawn.get("viewBox").split())
    for one in marks:
        assert 0 < float(one.get("cx")) < wide
        assert 0 < float(one.get("cy")) < high
    across = [float(one.get("cx")) for one in marks]
    down = [float(one.get("cy")) for one in marks]
    assert across == sorted(across)  # more points lost
    assert down == sorted(down)  # a smaller effect
    wanted = level_rows(record)[2]
    assert f"level 0.1: {wanted['effect']} ({wanted['effect_interval']})" in marks[1].findtext("title")


@pytest.mark.parametrize(
    "record", [movement_record(), without_public(movement_record()), distillation_record(False)]
)
def test_the_page_has_every_figure_and_loads_nothing(record: dict) -> None:
    page = debias_page(record)
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "leanformer debias my-model --seed 0 --out fairer" in page
    assert "it takes words in real sentences" in page
    if record["method"] == "debias-movement":
        for row in level_rows(record):
            assert row["effect_interval"] in page
            assert row["lost_interval"] in page
    else:
        assert "Before and after" in page
        assert "What the groups did" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="the browser `chromium` is not installed")
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(("record", "pictures"), [(movement_record(), "4"), (distillation_record(), "2")])
def test_the_page_fits_in_a_browser(tmp_path: Path, record: dict, pictures: str, width: int) -> None:
    record["corpus"] = "unbroken" * 40
    probe, log = look(tmp_path, debias_page(record), width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert probe["pictures"] == pictures  # one width of the curve, and of each training
    assert "CONSOLE" not in log
