"""The pictures hold one mark for each thing they show."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from report_example import example_result

from leanformer.report.pictures import svg
from leanformer.report.pictures.curve import loss_by_step, smoothed
from leanformer.report.pictures.layers import matrices_in_layers, units_in_layers
from leanformer.report.pictures.search import candidate_words, candidates_by_rung, score_at
from leanformer.report.pictures.speed import ratios_by_variant
from leanformer.report.search_words import search_words

WIDTHS = (svg.WIDE, svg.NARROW)


def marks(picture: str, *classes: str) -> list[ElementTree.Element]:
    """Return the elements that carry all the classes."""
    return [
        one for one in ElementTree.fromstring(picture).iter() if {*classes} <= {*one.get("class", "").split()}
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("layers", "heads"), [(6, 12), (12, 12), (24, 16)])
def test_a_square_for_each_head(layers: int, heads: int, width: float) -> None:
    shapes = example_result(layers=layers, heads=heads)["layers"]
    picture = units_in_layers(shapes, width)
    kept = sum(shape["heads"] for shape in shapes)
    assert len(marks(picture, "head", "kept")) == kept
    assert len(marks(picture, "head", "removed")) == layers * heads - kept
    assert len(marks(picture, "neurons", "kept")) == layers


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bar_of_neurons_is_as_long_as_their_share(width: float) -> None:
    shapes = example_result()["layers"]
    picture = units_in_layers(shapes, width)
    pairs = zip(marks(picture, "neurons", "kept"), marks(picture, "neurons", "removed"), strict=True)
    for shape, (kept, whole) in zip(shapes, pairs, strict=True):
        share = float(kept.attrib["width"]) / float(whole.attrib["width"])
        assert share == pytest.approx(shape["neurons"] / shape["dense_neurons"], abs=1e-3)


def test_empty_sublayers_are_named() -> None:
    picture = units_in_layers(example_result()["layers"], svg.WIDE)
    assert "No attention head is left in layer 10." in picture


@pytest.mark.parametrize("width", WIDTHS)
def test_a_cell_for_each_matrix_stronger_where_more_is_gone(width: float) -> None:
    shapes = example_result(granularity="weight", layers=6)["layers"]
    cells = marks(matrices_in_layers(shapes, width), "cell")
    ratios = [ratio for shape in shapes for ratio in shape["matrix_ratio"].values()]
    assert len(cells) == 36
    opacities = [float(cell.attrib["fill-opacity"]) for cell in cells]
    assert opacities == pytest.approx([0.05 + 0.95 * ratio for ratio in ratios], abs=0.006)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_candidate_is_marked_at_every_rung_it_reached(width: float, result: dict[str, Any]) -> None:
    search = result["search"]
    picture = candidates_by_rung(search, width, "KL")

    def scored(*origins: str) -> int:
        return sum(len(one["scores"]) for one in search["candidates"] if one["origin"] in origins)

    assert len(marks(picture, "seed-uniform")) == scored("uniform")
    assert len(marks(picture, "seed-global")) == scored("global")
    assert len(marks(picture, "seed-reconstruction")) == scored("reconstruction")
    assert len(marks(picture, "origin-random")) == scored("random")
    assert len(marks(picture, "origin-swap")) == scored("swap", "blend")
    assert len(marks(picture, "chosen-ring")) == 4
    survivors = sum(len(one["scores"]) > 1 for one in search["candidates"])
    assert len(marks(picture, "join")) == survivors
    assert len(marks(picture, "join", "chosen")) == 1


def test_lower_scores_stand_lower(result: dict[str, Any]) -> None:
    search = result["search"]
    scores = [score_at(candidate, "zero-shot") or 0.0 for candidate in search["candidates"][:2]]
    picture = candidates_by_rung(search, svg.WIDE, "KL")
    square = marks(picture, "seed-uniform")[0]
    diamond = marks(picture, "seed-global")[0]
    assert (scores[0] < scores[1]) == (float(square.attrib["y"]) > float(diamond.attrib["y"]))


def test_a_search_of_one_candidate_and_a_score_of_zero_are_drawn() -> None:
    candidate = {"id": 0, "origin": "uniform", "generation": 0, "ratio": 0.5, "chosen": True}
    search = {
        "candidates": [candidate | {"scores": {"zero-shot": 0.0}}],
        "rungs": ["zero-shot"],
        "seconds": 1.0,
    }
    assert len(marks(candidates_by_rung(search, svg.WIDE, "KL"), "seed-uniform")) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_the_axis_says_what_each_rung_measures(result: dict[str, Any], width: float) -> None:
    candidates = [
        candidate | {"scores": {"reconstruction": 0.02, "zero-shot": 0.1}}
        for candidate in result["search"]["candidates"]
    ]
    search = result["search"] | {"candidates": candidates}
    for rungs, wanted in (
        (["zero-shot"], ["KL (log"]),
        (["reconstruction", "zero-shot"], ["Share", "KL (log"]),
        (["reconstruction"], ["Share"]),
    ):
        picture = candidates_by_rung(search | {"rungs": rungs}, width, "KL")
        shown = [text for one in marks(picture, "axis") if (text := one.text or "")[:5] in ("Share", "KL (l")]
        assert [text[: len(start)] for text, start in zip(shown, wanted, strict=True)] == wanted


def test_the_read_out_tells_what_a_candidate_keeps(result: dict[str, Any]) -> None:
    candidate = result["search"]["candidates"][1] | {
        "kept": [0.125, 1.0, 0.5],
        "ratio": 0.5,
        "scores": {"zero-shot": 0.5},
    }
    words = candidate_words(candidate, "zero-shot")
    assert words.startswith("candidate 1 (global, generation 0): zero-shot 0.5, pruning ratio 0.500")
    assert "keeps 12% to 100% of a group" in words
    assert "keeps" not in candidate_words(candidate | {"kept": []}, "zero-shot")


def test_scores_that_are_no_numbers_are_left_out() -> None:
    assert score_at({"scores": {"zero-shot": float("nan")}}, "zero-shot") is None
    assert score_at({"scores": {"zero-shot": None}}, "zero-shot") is None


def test_search_words_compare_the_chosen_with_the_seeds(result: dict[str, Any]) -> None:
    words = search_words(result["search"], "classification")
    assert (
        "64 at “zero-shot”, 32 at “repaired (128 rows)”, 14 at “recalibrated”, 6 at “short-training”" in words
    )
    assert "read 512 held-out rows" in words
    assert words.count(": KL to the original at “") + words.count("; KL to the original at “") >= 1
    assert all(f" for {seed}" in words for seed in ("uniform", "global", "reconstruction"))
    assert "decides" not in words


def test_search_words_say_what_decides(result: dict[str, Any]) -> None:
    words = search_words(result["search"] | {"decides": "the geometric mean of both"}, "classification")
    assert ". What decides is the geometric mean of both. The chosen one is number" in words


@pytest.mark.parametrize("width", WIDTHS)
def test_a_bar_for_each_row_and_the_fallen_are_marked(width: float, result: dict[str, Any]) -> None:
    picture = ratios_by_variant(result["bench"], width)
    assert len(marks(picture, "bar-dense")) == 10
    assert len(marks(picture, "bar-compressed")) == 10
    assert len(marks(picture, "bar-fallen")) == 2
    assert picture.count("▼3.1") == 2
    assert len(marks(picture, "one")) == 2


def test_rows_without_score_or_interval_are_drawn(result: dict[str, Any]) -> None:
    rows = [row | {"score": None, "ratio_low": None, "ratio_high": None} for row in result["bench"]]
    picture = ratios_by_variant(rows, svg.WIDE)
    assert len(marks(picture, "bar-compressed")) == 10
    assert not marks(picture, "whisker")


def test_a_long_curve_is_drawn_under_its_average(result: dict[str, Any]) -> None:
    curve = result["training"]["curve"]
    assert len(marks(loss_by_step(curve, svg.WIDE), "loss")) == 2
    assert len(marks(loss_by_step(curve[:10], svg.WIDE), "loss")) == 1
    assert smoothed([3.0] * 40) == pytest.approx([3.0] * 40)


def test_text_in_a_picture_is_escaped() -> None:
    assert "&lt;script&gt;" in svg.text(0, 0, "<script>")
    assert "&#34;" in svg.element("rect", title='"')


def test_scales_and_ticks() -> None:
    scale = svg.Scale(0.01, 1.0, 100.0, 0.0, is_log=True)
    assert scale(0.1) == pytest.approx(50.0)
    assert scale(0.0) == 100.0
    assert svg.Scale(0.0, 6.2, 0, 1).ticks(6) == [0, 2, 4, 6]
    assert svg.Scale(3.0, 3.0, 5, 9)(3.0) == 5


@pytest.mark.parametrize("width", WIDTHS)
def test_a_layer_that_was_empty_before_is_drawn_empty(width: float) -> None:
    """A compressed model that is compressed again."""
    shapes = example_result(layers=6)["layers"]
    shapes[2] |= {"neurons": 0, "dense_neurons": 0, "neuron_kept_share": 0.0}
    kept = marks(units_in_layers(shapes, width), "neurons", "kept")
    assert [float(bar.attrib["width"]) for bar in kept][2] == 0.0


LIMITS: dict[str, Any] = {
    "asked": {"max_flips_percent": 2.0},
    "judged": 14,
    "kept": 5,
    "chosen": {"id": 7, "score": 0.86, "harms": {"max_flips_percent": 1.5}},
    "free": {"id": 3, "score": 0.875, "harms": {"max_flips_percent": 3.25}},
}


def test_search_words_say_what_the_limits_cost(result: dict[str, Any]) -> None:
    words = search_words(result["search"] | {"limits": LIMITS}, "classification")
    assert "2% of the answers changed: 5 of 14 candidates keep to it, as they were judged" in words
    assert (
        "cost 1.5 points of held-out score: without them number 3 would have won, which scores 87.5" in words
    )
    assert "3.25% of the answers changed; the chosen one 86.0, with 1.5% of the answers changed." in words
    better = LIMITS | {"chosen": {**LIMITS["chosen"], "score": 0.88}}
    assert "cost no held-out score" in search_words(result["search"] | {"limits": better}, "classification")
    none = LIMITS | {"kept": 0}
    assert "the one that comes nearest was taken" in search_words(
        result["search"] | {"limits": none}, "classification"
    )
    same = LIMITS | {"free": LIMITS["chosen"]}
    assert "The limits cost nothing" in search_words(result["search"] | {"limits": same}, "classification")
