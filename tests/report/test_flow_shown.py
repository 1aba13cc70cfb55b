"""The flow of bias on the page and on the terminal."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from report_example import example_result
from rich.console import Console
from test_bias import figure, record

from flow_example import made
from leanformer.audit.flow_facts import flow_facts
from leanformer.report.bias_table import bias_shown
from leanformer.report.flow_words import finding_rows, flow_sentence, matrix_rows
from leanformer.report.page import render
from leanformer.report.pictures import svg
from leanformer.report.pictures.flow import flow_file, flow_picture, flow_rows


@pytest.fixture(scope="module")
def flow() -> dict[str, Any]:
    return flow_facts(made())


def test_every_position_is_a_mark_with_its_read_out(flow: dict[str, Any]) -> None:
    for width in (svg.WIDE, svg.NARROW):
        drawn = str(flow_rows(flow, width))
        assert drawn.count("beyond noise of") == len(flow["places"])
        assert drawn.count("layer 2</text>") == 1
    assert "embeddings: 0.050 (" in str(flow_rows(flow, svg.WIDE))
    assert "the model&#39;s own attention" in str(flow_picture(flow))


def test_a_file_of_its_own_is_a_whole_picture(flow: dict[str, Any]) -> None:
    root = ElementTree.fromstring(flow_file(flow))
    assert root.tag.endswith("svg")
    assert "bar-compressed" in next(root.iter("{http://www.w3.org/2000/svg}style")).text
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 1 + 3 * 4 + 1  # and the legend's


def test_layers_without_heads_are_drawn_with_what_they_have(flow: dict[str, Any]) -> None:
    kept = [one for one in flow["places"] if one["layer"] != 1 or "output" in one["name"]]
    assert str(flow_rows(flow | {"places": kept}, svg.WIDE)).count("beyond noise of") == len(kept)


def test_findings_come_with_the_figures_that_decide(flow: dict[str, Any]) -> None:
    rows = finding_rows(flow)
    assert [row.verdict for row in rows] == ["found"] * 4
    assert rows[3].figures[0].startswith("step from the values to their averages by attention −0.1")
    odd = [{**one, "found": found} for one, found in zip(flow["findings"], (False, None), strict=False)]
    verdicts = [row.verdict for row in finding_rows(flow | {"findings": odd})]
    assert verdicts == ["not found", "can not be tested"]


def test_matrices_stand_with_what_they_add_behind_themselves_and_at_the_end(flow: dict[str, Any]) -> None:
    first = matrix_rows(flow)[0]
    assert (first.name, first.by, first.behind) == ("W_q", "identity", "attention")
    assert first.there.startswith("0.2")
    assert first.end.startswith("0.2")


def test_the_sentence_names_the_ends(flow: dict[str, Any]) -> None:
    words = flow_sentence(flow)
    assert words.startswith("100 sentences with their twins, 20 occupations;")
    assert "smallest at the context of layer" in words
    places = [{**one, "beyond": one["beyond"] | {"value": float(one["layer"])}} for one in flow["places"]]
    words = flow_sentence(flow | {"places": places})
    assert "of layer 2: 2.000 (" in words
    assert "smallest at the embeddings: −1.000 (" in words


def test_the_page_and_the_terminal_show_it(flow: dict[str, Any]) -> None:
    bias = record(figure()) | {"flow": [None, flow]}
    page = render(example_result() | {"bias": bias})
    assert page.count("found</strong>:") == 4
    assert "How it flows through the compressed model" in page
    assert "How it flows through the original model" not in page
    console = Console(width=120, record=True)
    console.print(bias_shown(bias, None))
    shown = console.export_text()
    assert "Flow of compressed" in shown
    assert shown.count("found  ") >= 4
