"""Pictures of heads: every head is a cell, what left is framed, and the curve has a point a step."""

from __future__ import annotations

import pytest
from report_example import example_result

from leanformer.report.page import render
from leanformer.report.pictures.heads import heads_picture, heads_words, ladder_of_heads


@pytest.fixture
def heads():
    return {
        "measure": "importance",
        "scores": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.0]],
        "removed": [[1, 2], [0, 0]],
        "ladder": [{"removed": count, "score": 0.8 - 0.05 * count} for count in range(7)],
        "judging_rows": 512,
    }


def test_every_head_is_a_cell_in_both_widths_and_what_left_is_framed(heads):
    picture = str(heads_picture(heads))
    assert picture.count('class="cell"') == 2 * 4
    assert picture.count('class="cell gone"') == 2 * 2
    assert "layer 1, head 2: importance 0, removed" in picture
    assert "Importance of 6 heads in 2 layers; 2 of them were removed" in picture


def test_the_curve_has_a_point_a_step(heads):
    picture = str(ladder_of_heads(heads, "accuracy"))
    assert picture.count("<circle") == 2 * 7
    assert "3 heads removed: 65.0" in picture


def test_words_with_a_ladder_and_without(heads):
    words = heads_words(heads)
    assert "2 of 6 heads are gone" in words
    assert "On 512 held-out training rows the score went from 80.0 to 70.0 with 2 heads gone." in words
    del heads["ladder"]
    assert "held-out" not in heads_words(heads)


def test_the_page_shows_heads_where_a_method_ranks_them(heads):
    assert "Which heads matter" not in render(example_result())
    page = render(example_result() | {"heads": heads})
    assert "Which heads matter" in page
    assert "heads removed" in page
    del heads["ladder"]
    assert "heads removed</text>" not in render(example_result() | {"heads": heads})
