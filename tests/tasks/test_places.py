"""Answers out of start and end logits: the best stretch, over all strides of a question, and its score."""

import itertools

import numpy as np
import pytest

from leanformer.errors import ModelError
from leanformer.measure.statistics import drop_error, paired_drop
from leanformer.tasks.encode import encode
from leanformer.tasks.judged import answered_badly, examples_in, labels_of, loss_labels
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import METRICS, divergence, examples_of, score, scores
from leanformer.tasks.places import (
    Wanted,
    answers_of,
    asked_tokens,
    best_spans,
    exact_counts,
    f1_counts,
    groups_of,
    place_probabilities,
)
from leanformer.tasks.predict import predict, score_logits
from tiny import TINY_FAMILIES, build_reader

CONTEXT = "the cold dog saw a fine film"
OFFSETS = np.array([[0, 0], [0, 0], [0, 3], [4, 8], [9, 12], [13, 16], [17, 18], [19, 23], [24, 28], [0, 0]])


def wanted_of(*rows):
    """(question, answers) of strides over one text."""
    found = np.empty(len(rows), dtype=object)
    for place, (question, answers) in enumerate(rows):
        found[place] = Wanted(question, CONTEXT, OFFSETS, answers)
    return found


def logits_for(*places, height=9.0):
    """Strides whose start and end logits are highest at (start, end)."""
    logits = np.zeros((len(places), len(OFFSETS), 2), dtype=np.float32)
    for row, (start, end) in enumerate(places):
        logits[row, start, 0] = logits[row, end, 1] = height
    return logits


def brute_force(logits, asked, most):
    """All stretches, the shortest first and of these the first."""
    width = len(asked)
    spans = [
        (start, start + further)
        for further in range(most)
        for start in range(width - further)
        if asked[start] and asked[start + further]
    ]
    return max(spans, key=lambda span: logits[span[0], 0] + logits[span[1], 1])  # the first of equal ones


@pytest.mark.parametrize("most", [1, 3, 30])
def test_the_best_stretch_is_that_of_brute_force(most):
    generator = np.random.default_rng(most)
    logits = generator.normal(size=(40, 17, 2)).astype(np.float32)
    logits[20:] = logits[20:].round()  # with ties
    asked = generator.random((40, 17)) < 0.6
    asked[:, 8] = True
    logits[~asked] = np.where(generator.random((~asked).sum())[:, None] < 0.5, np.nan, 99.0)
    first, last, sums = best_spans(logits, asked, most)
    for row in range(40):
        assert (first[row], last[row]) == brute_force(logits[row], asked[row], most)
        assert sums[row] == logits[row, first[row], 0] + logits[row, last[row], 1]


def test_an_answer_is_of_the_text_alone_and_in_order():
    wanted = wanted_of((1, ("cold dog",)))
    for start, end in itertools.product(range(len(OFFSETS)), repeat=2):
        (found,) = answers_of(logits_for((start, end)), wanted)
        assert found.text in CONTEXT
        assert 2 <= found.start <= found.end <= 8
        if 2 <= start <= end <= 8:
            assert (found.start, found.end) == (start, end)
            assert found.text == CONTEXT[OFFSETS[start, 0] : OFFSETS[end, 1]]


def test_the_strides_of_a_question_answer_it_together():
    wanted = wanted_of((7, ("film",)), (3, ("dog",)), (7, ("film",)), (3, ("dog",)))
    logits = logits_for((4, 4), (4, 4), (8, 8), (2, 2))
    logits[[0, 3]] *= 0.5  # these strides are less sure
    assert [part.tolist() for part in groups_of(wanted)] == [[0, 2], [1, 3]]
    assert [one.text for one in answers_of(logits, wanted)] == ["film", "dog"]
    assert [one.stride for one in answers_of(logits, wanted)] == [2, 1]
    assert examples_of("answer-f1", wanted) == 2


def test_scores_by_hand():
    wanted = wanted_of((1, ("cold dog", "dog")), (2, ("a fine film",)), (3, ("saw",)))
    logits = logits_for((4, 4), (7, 7), (2, 2))  # dog, fine, the
    assert exact_counts(logits, wanted).tolist() == [[1, 1], [0, 1], [0, 1]]
    assert f1_counts(logits, wanted)[:, 0] == pytest.approx([1, 2 * 1 * 0.5 / 1.5, 0])
    assert score("exact-match", logits, wanted) == pytest.approx(1 / 3)
    assert score("answer-f1", logits, wanted) == pytest.approx((1 + 2 / 3) / 3)
    draws = [np.array([0, 0, 1]), np.array([2, 2, 2])]
    assert scores("answer-f1", logits, wanted, draws) == pytest.approx([(2 + 2 / 3) / 3, 0])


def test_the_bootstrap_draws_questions_and_not_strides():
    rows = [(question, ("dog",)) for question in range(20) for _ in range(1 + 9 * (question < 2))]
    wanted = wanted_of(*rows)
    right = logits_for(*[(4, 4)] * len(rows))
    half = logits_for(*[(4, 4) if question < 10 else (8, 8) for question, _ in rows])
    drop, low, high = paired_drop("exact-match", right, half, wanted, seed=0)
    assert drop == pytest.approx(50)
    assert (
        20 < low < 45 < 55 < high < 80
    )  # of 20 questions; of 38 strides it would be narrower, and 26 points
    assert drop_error("exact-match", right, half, wanted) == pytest.approx(100 * (0.25 / 20) ** 0.5, rel=0.2)


def test_divergence_is_of_both_ends_and_hears_no_padding():
    generator = np.random.default_rng(0)
    dense, lean = generator.normal(size=(2, 3, 6, 2))
    lengths = np.array([6, 4, 2])
    padding = np.arange(6) >= lengths[:, None]
    dense[padding] = lean[padding] = np.nan

    def log_softmax(values):
        return values - np.log(np.exp(values).sum())

    by_hand = 0.0
    for row, length in enumerate(lengths):
        for end in (0, 1):
            p, q = (log_softmax(some[row, :length, end]) for some in (dense, lean))
            by_hand += (np.exp(p) * (p - q)).sum() / 3
    assert divergence(dense, lean, "question-answering") == pytest.approx(by_hand)
    assert divergence(dense, dense + np.array([3.0, -2.0]), "question-answering") == pytest.approx(
        0.0, abs=1e-12
    )
    lean[0, 2, 1] = np.nan
    assert np.isnan(divergence(dense, lean, "question-answering"))


def test_probabilities_are_over_the_tokens_of_a_stride():
    logits = np.array([[[0.0, 1.0], [np.log(3.0), 1.0], [np.nan, np.nan]]])
    np.testing.assert_allclose(place_probabilities(logits)[0], [[0.25, 0.5], [0.75, 0.5], [0, 0]])


def test_broken_answers_have_no_score():
    wanted = wanted_of((1, ("dog",)), (2, ("dog",)))
    logits = logits_for((4, 4), (4, 4))
    logits[:, 9] = np.nan  # padding
    assert not answered_badly(logits, wanted).any()
    logits[1, 5, 1] = np.inf
    assert answered_badly(logits, wanted).tolist() == [False, True]


@pytest.fixture
def data(squad):
    return load_data(DataSpec(str(squad)))


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_answers_do_not_depend_on_batches_nor_on_padding(family, data, tiny_tokenizer):
    rows = encode(data.validation, tiny_tokenizer, 24, truncate=False)
    model, wanted = build_reader(family), labels_of(rows)
    alone = predict(model, rows, tiny_tokenizer, batch_size=1)
    together = predict(model, rows, tiny_tokenizer, batch_size=64)
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert answers_of(alone, wanted) == answers_of(together, wanted)
    lengths = np.array([len(ids) for ids in rows["input_ids"][:]])
    there = ~np.isnan(alone).any(axis=-1)
    assert there.sum(axis=1).tolist() == lengths.tolist()
    assert (asked_tokens(wanted) <= there).all()


def test_a_score_is_of_questions_with_an_interval(data, tiny_tokenizer):
    rows = encode(data.validation, tiny_tokenizer, 20, truncate=False)
    assert examples_in(rows, data.task) == len(data.validation) == 40 < len(rows)
    places = np.maximum(loss_labels(rows), 0)  # (strides, tokens, 2)
    logits = 9.0 * places.astype(np.float32)
    found = score_logits(logits, labels_of(rows), data.task)
    assert (found.value, found.extra, found.n) == (1.0, {"exact-match": 1.0}, 40)
    logits[np.asarray(rows["row"][:]) <= 10] = 0.0
    found = score_logits(logits, labels_of(rows), data.task)
    assert 0.6 < found.low < found.value < found.high < 0.95
    with pytest.raises(ModelError, match=f"{len(rows)} of {len(rows)} rows with no number"):
        score_logits(np.full_like(logits, np.inf), labels_of(rows), data.task)


def test_a_part_of_the_rows_has_the_same_answers_in_the_same_shape(data, tiny_tokenizer):
    rows = encode(data.validation, tiny_tokenizer, 20, truncate=False)
    model = build_reader("bert")
    whole = predict(model, rows, tiny_tokenizer)
    np.testing.assert_allclose(predict(model, rows.select(range(3)), tiny_tokenizer), whole[:3], atol=1e-5)


def test_both_metrics_are_of_questions():
    assert {name for name, one in METRICS.items() if one.needs == "question-answering"} == {
        "answer-f1",
        "exact-match",
    }
