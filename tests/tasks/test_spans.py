"""Spans as seqeval counts them by default, on sentences counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from leanformer.tasks.metrics import score
from leanformer.tasks.spans import iob2, normalised, span_counts, span_labels, spans, word_counts
from leanformer.tasks.words import IGNORED

LABELS = span_labels(["LOC", "PER"])
IDS = {label: index for index, label in enumerate(LABELS)}


def ids(*sentences):
    """Label ids of sentences such as "B-PER I-PER O", padded."""
    rows = [[IDS[tag] for tag in sentence.split()] for sentence in sentences]
    width = max(map(len, rows))
    return np.array([row + [IGNORED] * (width - len(row)) for row in rows])


def logits_of(answers):
    """Logits whose largest is the answer; padding as `predict` gives it."""
    logits = np.eye(len(LABELS))[np.maximum(answers, 0)]
    logits[answers == IGNORED] = np.nan
    return logits


def test_labels_have_a_place_that_says_what_they_are():
    assert LABELS == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("scheme", "tags", "wanted"),
    [
        ("IOB2", "B-PER I-PER O B-PER B-PER", "B-PER I-PER O B-PER B-PER"),
        ("IOB1", "I-PER I-PER B-PER O I-LOC", "B-PER I-PER B-PER O B-LOC"),
        ("BIOES", "B-PER I-PER E-PER S-PER O S-LOC", "B-PER I-PER I-PER B-PER O B-LOC"),
        ("BIOES, odd", "B-PER E-PER E-PER I-PER", "B-PER I-PER B-PER B-PER"),
        ("BILOU", "B-PER L-PER U-PER L-PER", "B-PER I-PER B-PER B-PER"),
        ("bare types", "PER PER O LOC PER ORG", "B-PER I-PER O B-LOC B-PER B-ORG"),
        ("no types", "B I O B", "B-_ I-_ O B-_"),
        ("another type", "B-PER I-LOC I-LOC", "B-PER B-LOC I-LOC"),
        ("types with dashes", "B-creative-work I-creative-work", "B-creative-work I-creative-work"),
    ],
)
def test_every_scheme_is_spelt_in_one(scheme, tags, wanted):
    assert iob2(tags.split()) == wanted.split()
    assert iob2(wanted.split()) == wanted.split()


def test_spans_of_answers_that_follow_no_scheme():
    tags = "I-PER I-PER I-LOC O I-LOC B-LOC B-LOC I-PER"
    assert spans(ids(tags)[0]) == [(0, 2, 1), (2, 3, 0), (4, 5, 0), (5, 6, 0), (6, 7, 0), (7, 8, 1)]
    assert spans(ids("O O")[0]) == []
    assert normalised(ids(tags)).tolist() == ids("B-PER I-PER B-LOC O B-LOC B-LOC B-LOC B-PER").tolist()


def test_a_span_is_found_only_with_both_ends_and_its_type():
    wanted = ids("B-PER I-PER O B-LOC", "B-PER I-PER I-PER", "O B-LOC", "B-PER B-PER", "O O")
    given = ids("I-PER I-PER O B-PER", "B-PER I-PER O", "B-LOC I-LOC", "B-PER I-PER", "B-LOC O")
    #           found; wrong type      ends too early    begins too early  two in one  there is none
    counts = span_counts(logits_of(given), wanted)
    assert counts.tolist() == [[1, 2, 2], [0, 1, 1], [0, 1, 1], [0, 1, 2], [0, 1, 0]]
    assert score("span-precision", logits_of(given), wanted) == pytest.approx(1 / 6)
    assert score("span-recall", logits_of(given), wanted) == pytest.approx(1 / 6)
    assert score("span-f1", logits_of(given), wanted) == pytest.approx(2 / 12)


def test_f1_is_of_all_spans_together_and_not_the_mean_of_types_or_sentences():
    wanted = ids("B-PER O B-PER O B-PER", "B-LOC O O O O")
    given = ids("B-PER O B-PER O O", "O B-LOC O B-LOC O")
    assert score("span-precision", logits_of(given), wanted) == pytest.approx(2 / 4)
    assert score("span-recall", logits_of(given), wanted) == pytest.approx(2 / 4)
    assert score("span-f1", logits_of(given), wanted) == pytest.approx(4 / 8)


def test_a_span_that_reaches_the_end_ends_there_and_padding_is_nothing():
    wanted = ids("O B-PER I-PER", "O B-PER I-PER O B-LOC")
    assert span_counts(logits_of(wanted), wanted).tolist() == [[1, 1, 1], [2, 2, 2]]
    longer = np.pad(wanted, ((0, 0), (0, 3)), constant_values=IGNORED)
    loud = np.eye(5)[np.full(longer.shape, 3)]  # answers B-PER everywhere
    loud[:, :5] = np.eye(5)[np.maximum(wanted, 0)]
    loud[0, 3:] = np.eye(5)[3]
    assert span_counts(loud, longer).tolist() == [[1, 1, 1], [2, 2, 2]]


def test_words_are_right_by_what_they_mean():
    wanted = ids("B-PER I-PER O", "O B-LOC")
    given = ids("I-PER I-PER B-LOC", "O I-LOC")  # I behind O begins a span as B does
    assert word_counts(logits_of(given), wanted).tolist() == [[2, 3], [2, 2]]
    assert score("token-accuracy", logits_of(given), wanted) == pytest.approx(4 / 5)


def test_nothing_asked_or_answered_scores_zero():
    nothing, something = ids("O O"), ids("O B-PER")
    for metric in ("span-f1", "span-precision", "span-recall"):
        assert score(metric, logits_of(nothing), nothing) == 0.0
        assert score(metric, logits_of(something), nothing) == 0.0
        assert score(metric, logits_of(nothing), something) == 0.0
