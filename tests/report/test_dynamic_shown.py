"""Tokens and texts that leave, as the page and the terminal show them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from report_example import example_result
from rich.console import Console

from leanformer.report.page import render
from leanformer.report.pictures import svg
from leanformer.report.pictures.exits import dial, exits_words
from leanformer.report.pictures.layers import layers_picture, tokens_in_layers, tokens_kept
from leanformer.report.table import summary_table

SHARES = (0.8, 0.5, 0.5, 0.25)
EXITS: dict[str, Any] = {
    "policy": "entropy",
    "threshold": 0.3,
    "layers": [1, 2, 4],
    "left_at": [50, 0, 50],
    "saved": 0.375,
    "agreement": 0.98,
    "rows": 100,
    "curve": [
        {"threshold": 0.0, "saved": 0.0, "agreement": 1.0, "score": 0.80},
        {"threshold": 0.3, "saved": 0.375, "agreement": 0.98, "score": 0.79},
        {"threshold": 0.9, "saved": 0.75, "agreement": 0.7, "score": 0.6},
    ],
}


def with_tokens() -> dict[str, Any]:
    result = example_result(layers=4)
    result["granularity"], result["pruning_ratio_reached"] = "token", 0.4
    result["compressed"]["encoder_parameters"] = result["dense"]["encoder_parameters"]
    for layer, share in zip(result["layers"], SHARES, strict=True):
        layer |= {"tokens": share, "heads": layer["dense_heads"], "neurons": layer["dense_neurons"]}
    return result


def pruned_with_tokens() -> dict[str, Any]:
    result = {**example_result(layers=4), "macs_share": 0.31}
    for layer, share in zip(result["layers"], SHARES, strict=True):
        layer["tokens"] = share
    return result


def with_exits() -> dict[str, Any]:
    return {**example_result(layers=4), "granularity": "exit", "exits": EXITS}


def widths_of(picture: str, *classes: str) -> list[float]:
    found = ElementTree.fromstring(picture).iter()
    return [float(one.get("width", "0")) for one in found if {*classes} <= {*one.get("class", "").split()}]


@pytest.mark.parametrize("width", [svg.WIDE, svg.NARROW])
def test_a_bar_is_as_long_as_what_is_left_of_a_text(width: float) -> None:
    picture = tokens_in_layers(with_tokens()["layers"], width)
    kept, whole = widths_of(picture, "neurons", "kept"), widths_of(picture, "neurons", "removed")
    assert [one / all_ for one, all_ in zip(kept, whole, strict=True)] == pytest.approx(SHARES, abs=0.01)


@pytest.mark.parametrize("width", [svg.WIDE, svg.NARROW])
def test_the_dial_has_a_mark_a_setting_and_one_line(width: float) -> None:
    picture = dial(EXITS, "accuracy", width)
    tips = [
        one.text for one in ElementTree.fromstring(picture).iter() if one.tag.endswith("title") and one.text
    ]
    assert sum("threshold" in tip for tip in tips) == 3
    assert "from 80.0 to 60.0" in tips[0]


def test_a_pruned_model_whose_tokens_leave_shows_both() -> None:
    for result, pictures in ((with_tokens(), 1), (pruned_with_tokens(), 2)):
        picture, page = layers_picture(result["layers"]), render(result)
        assert picture.count("tokens of a text that its FFN") == 2 * 1  # in both widths
        assert picture.count(">FFN neurons<") == 2 * (pictures - 1)
        assert ("neurons stay." in page) == (pictures == 2)


def test_words_say_where_texts_leave_and_what_is_left() -> None:
    words = exits_words(EXITS)
    assert "50 after layer 1, 50 after layer 4" in words
    assert "98% of the answers" in words
    assert tokens_kept(with_tokens()["layers"]).startswith("Of a text's tokens 25% are left")


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (with_tokens(), "tokens leave on the way, which saves 40% of the encoder"),
        (pruned_with_tokens(), "tokens leave on the way: 31% of the multiply-accumulates are left"),
        (with_exits(), "texts leave early: 38% of the layers do not run"),
    ],
)
def test_page_and_terminal(result: dict[str, Any], sentence: str) -> None:
    page = render(result)
    assert sentence in page
    assert ("Where texts leave" in page) == ("exits" in result)
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(summary_table(result))
    wanted = "layers that a text uses" if "exits" in result else "tokens, mean of layers"
    assert wanted in capture.get()
