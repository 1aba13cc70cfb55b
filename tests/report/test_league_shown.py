"""A league on the terminal, in words and as a page: every figure is there, and nothing is loaded from outside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from test_report_in_browser import CHROMIUM, look
from test_terminal_tables import printed

from league_example import example_league
from leanformer.report import numbers
from leanformer.report.league_page import league_page
from leanformer.report.league_table import league_shown
from leanformer.report.league_words import beaten_sentences, headline, notes
from leanformer.report.pictures import svg
from leanformer.report.pictures.league import league_picture

SEVERAL = {"seeds": (0, 1)}


@pytest.mark.parametrize("shape", [{}, {"test": False, "int8": False}, SEVERAL])
def test_nothing_is_cut_at_100_columns(shape: dict) -> None:
    league = example_league(**shape)
    league["rows"][-1] |= {"drop_points": -22.5, "drop_low": -24.5, "drop_high": -20.25, "minutes": 1234}
    text = printed(league_shown(league), 100)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100
    for row in league["rows"]:
        assert row["method"] in text
        assert f"{row['reached']:.2f} gone" in text
        assert numbers.times_interval(*(row["speeds"]["8"]["fp32"][end] for end in ("low", "high"))) in text
    assert text.count("int8 ") == (0 if "int8" in shape else 2 * len(league["rows"]))
    assert text.count(" test ") == (0 if "test" in shape else 1 + len(league["rows"]))
    assert "l0-heads" in text


def test_who_is_beaten_by_something_simpler_is_said_with_the_figures() -> None:
    (sentence,) = beaten_sentences(example_league())
    assert sentence == (
        "ae-bert-random does worse than the simpler uniform-magnitude: 1.6 (0.0 to 3.3) points lost against 1.1 "
        "(−0.5 to 2.8), and 1.50× and 1.80× against 1.55× and 1.89× the dense model's speed at batch 1 and 8; the "
        "intervals of the losses and of the speeds overlap, another run may turn it round."
    )
    league = example_league()
    league["rows"][5] |= {"drop_points": 5.0, "drop_low": 3.0, "drop_high": 7.0}
    assert beaten_sentences(league)[0].endswith(
        "; the intervals of the speeds overlap, another run may turn it round."
    )
    for speeds in league["rows"][5]["speeds"].values():
        speeds["fp32"] |= {"ratio": 1.1, "high": 1.2}
    assert beaten_sentences(league)[0].endswith("at batch 1 and 8.")
    assert "does worse" in " ".join(printed(league_shown(league), 100).split())
    assert beaten_sentences(league)[0] in league_page(league).replace("&#39;", "'")


def test_the_headline_names_the_fastest_that_keeps_the_score() -> None:
    league = example_league()
    assert headline(league) == (
        "Within 1 point lost, ae-bert is the fastest: 1.86× at batch 8; it loses 0.7 points. "
        "Fastest of all is drop-layers, 1.92× at batch 8, and loses 2.2 points."
    )
    league["rows"] = league["rows"][6:]
    assert headline(league).startswith("No method keeps within 1 point; drop-layers loses 2.2 points.")
    league["rows"] = example_league()["rows"][:3]
    assert headline(league).endswith("it loses 0.7 points.")


def test_several_seeds_and_a_quick_league_are_said() -> None:
    league = example_league(**SEVERAL)
    league["rows"][2]["granularity"] = "weight"
    said = " ".join(notes(league | {"quick": True}))
    assert "ae-bert leaves zeros in whole matrices" in said
    assert "seeds 0, 1" in said
    assert "means over the seeds" in said
    assert "quick league" in said
    assert "accuracy-driven takes no ratio: it stops at a bound on the score, here at 0.03." in said
    assert said.count("astar-heads stopped short of the ratio, at 0.21.") == said.count("stopped short") == 1


def test_the_page_loads_nothing_from_outside() -> None:
    page = league_page(example_league())
    assert not re.findall(r'(?:src|href)="(?!data:,")|url\(|@import', page)
    assert "default-src 'none'" in page
    for text in (
        "refused: the budget is out of reach",
        "Test CPU 9000",
        "leanformer league minilm",
        "1 point",
    ):
        assert text in page
    for row in example_league()["rows"]:
        assert row["cells"][0] in page


def test_hostile_names_are_text() -> None:
    evil = '</style><script>alert(1)</script>"><img src=x>'
    league = example_league()
    league["task"]["name"] = league["model"] = league["refused"][0]["sentence"] = evil
    page = league_page(league)
    assert "<script>alert" not in page
    assert "<img" not in page


@pytest.mark.parametrize("batch", [1, 8])
def test_the_picture_has_a_named_mark_for_each_method(batch: int) -> None:
    league = example_league()
    root = ElementTree.fromstring(f"<div>{league_picture(league, batch)}</div>")
    wide, narrow = (root.find(f"div[@class='{kind}']") for kind in ("wide", "narrow"))
    for index, row in enumerate(league["rows"], start=1):
        assert row["method"] in [one.text for one in wide.iter("text")]
        assert str(index) in [one.text for one in narrow.iter("text")]
    tips = [one.find("title").text for one in wide.iter("circle") if one.find("title") is not None]
    assert len(tips) == len(league["rows"])
    assert sum(one.get("class") == "front" for one in wide.iter("path")) == 1
    assert ">4" in [one.text for one in wide.iter("text")]  # taylor-heads is held at the edge
    for div, width in ((wide, svg.WIDE), (narrow, svg.NARROW)):
        places = [float(one.get("x")) for one in div.iter("text")]
        assert 0 <= min(places) <= max(places) <= width


@pytest.mark.skipif(CHROMIUM is None, reason="the browser `chromium` is not installed")
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_in_a_browser(tmp_path: Path, width: int) -> None:
    league = example_league()
    league["task"]["name"] = league["refused"][0]["sentence"] = "unbroken" * 40
    probe, log = look(tmp_path, league_page(league), width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert probe["pictures"] == "2"
    assert "CONSOLE" not in log
