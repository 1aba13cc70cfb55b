"""Bias in one sentence, on the terminal and on the page."""

from io import StringIO

import pytest
from rich.console import Console

from leanformer.report.bias import bias_rows, bias_sentence, detector_sentence, p_words
from leanformer.report.bias_table import bias_shown
from leanformer.report.card import model_card
from leanformer.report.page import render


def figure(metric="swap gap", subject="size", values=(0.03, 0.05), change=(0.02, 0.01, 0.03), p=None):
    ends = [
        {"value": value, "low": value - 0.01, "high": value + 0.01, "p": p, "n": 210, "note": ""}
        for value in values
    ]
    low = dict(zip(("value", "low", "high"), change, strict=True))
    return {
        "metric": metric,
        "subject": subject,
        "unit": "pairs of texts",
        "ideal": 0.0,
        "values": ends,
        "change": {**low, "beyond": not change[1] <= 0 <= change[2]},
    }


def record(*figures, unmeasured=()):
    return {
        "models": ["dense", "compressed"],
        "figures": list(figures),
        "between": [],
        "unmeasured": list(unmeasured),
        "detector": [None, None],
    }


REASON = {"metric": "swap gap", "reason": "no text has a gender word", "models": ["dense", "compressed"]}


def test_a_change_beyond_its_interval_is_named():
    said = bias_sentence(record(figure(), figure("SEAT, sentences", change=(0.0, -0.1, 0.1))))
    assert said == (
        "Compression changed bias beyond the 95% intervals in 1 of 2 figures: swap gap (size) went from 0.0300 to "
        "0.0500 (difference 0.0100 to 0.0300, 210 pairs of texts)."
    )


def test_no_change_is_said_with_what_was_measured():
    said = bias_sentence(record(figure(change=(0.0, -0.01, 0.01))))
    assert said.startswith(
        "Compression did not change bias beyond the 95% intervals, in 1 figure: swap gap (size)"
    )
    assert said.count(". ") == 0


def test_nothing_measured_is_said_with_the_reason():
    assert bias_sentence(record(unmeasured=[REASON])) == "Bias was not measured: no text has a gender word."


def test_many_changes_are_counted():
    said = bias_sentence(record(*[figure(subject=str(number)) for number in range(5)]))
    assert "5 of 5 figures" in said
    assert said.endswith("; and 2 more.")


def test_p_is_not_written_as_zero():
    assert (p_words(0.0), p_words(0.0412)) == ("p < 0.001", "p = 0.041")


def test_a_change_beyond_chance_never_has_an_interval_that_reads_as_zero():
    (row,) = bias_rows(record(figure(values=(1.4, 1.3), change=(-0.1, -0.2, -0.0007))))
    assert row.change_interval == "−0.200 to −0.001"


def test_the_terminal_fits_a_hundred_columns():
    shown = record(figure("SEAT, target tokens", "science, arts: male, female", p=0.0), unmeasured=[REASON])
    console = Console(width=100, record=True, file=StringIO())
    console.print(bias_shown(shown, "audit.json"), crop=False)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 100
    for part in (
        "science, arts: male, female",
        "+0.020",
        "beyond chance",
        "p < 0.001",
        "no text has a gender word",
    ):
        assert part in text


def test_of_one_model_there_is_no_difference():
    one = record(figure(values=(0.03,)))
    one |= {"models": ["some/model"], "detector": [None]}
    one["figures"][0]["change"] = None
    console = Console(width=100, record=True, file=StringIO())
    console.print(bias_shown(one, None))
    text = console.export_text()
    assert "difference" not in text
    assert "some/model" in text


def test_the_page_has_a_section_only_where_bias_was_looked_at(result):
    assert 'id="bias"' not in render(result)
    page = render(result | {"bias": record(figure(), unmeasured=[REASON])})
    assert 'id="bias"' in page
    assert "Compression changed bias beyond" in page
    assert "≠ +0.0200" in page
    assert "no text has a gender word" in page
    assert "Compression changed bias beyond" in model_card(result | {"bias": record(figure())})
    empty = render(result | {"bias": record(unmeasured=[REASON])})
    assert "Bias was not measured: no text has a gender word." in empty


@pytest.fixture
def found():
    ends = {"low": -0.2, "high": 0.3, "n": 9, "degree": 0.2}
    return {
        "sentences": 1200,
        "used": 40,
        "occupations": [{"name": "guard", "bias": 0.1, **ends}, {"name": "nurse", "bias": -0.1, **ends}],
        "heads": [
            {"layer": 1, "head": head, "degree": 0.1 * head, "low": 0.0, "high": 0.4} for head in (0, 2)
        ],
        "degree": {"occupation to gender word": 0.2},
        "noise": {"occupation to gender word": 0.1},
    }


def test_the_detector_is_said_in_words(found):
    said = detector_sentence(found)
    assert said.startswith("40 occupations beside gender words in 1,200 sentences.")
    assert "guard +0.100" in said
    assert "nurse −0.100" in said
    assert "layer 1, head 2: 0.200" in said
