import json
from dataclasses import asdict

import numpy as np
import pytest
from datasets import Dataset

from leanformer.measure.flips import LARGEST_CHANGES, flips, probabilities
from leanformer.tasks.task import Task

MOOD = Task("mood", "classification", False, ("negative", "positive"), "accuracy")
ALIKE = Task("alike", "regression", True, (), "spearman")


def rows(labels, pair=False):
    count = len(labels)
    table = {
        "text": [f"text {i}" for i in range(count)],
        "label": labels,
        "row": [10 + i for i in range(count)],
    }
    return Dataset.from_dict(table | ({"text_pair": [f"pair {i}" for i in range(count)]} if pair else {}))


def test_changed_answers_are_found_largest_change_first():
    dense = np.array([[2.0, 0.0], [0.1, 0.0], [0.0, 3.0], [0.0, 1.0]], dtype=np.float32)
    lean = np.array([[1.0, 0.0], [0.0, 0.1], [2.0, 0.0], [0.0, 5.0]], dtype=np.float32)
    found = flips(dense, lean, rows([0, 1, 1, 1]), MOOD)
    assert [flip.row for flip in found] == [12, 11]
    first = found[0]
    assert (first.text, first.text_pair, first.label) == ("text 2", None, "positive")
    assert (first.dense_answer, first.lean_answer) == ("positive", "negative")
    assert first.dense_probability == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert first.lean_probability == pytest.approx(1 / (1 + np.exp(-2.0)))
    json.dumps([asdict(flip) for flip in found])  # plain numbers only


def test_no_change_no_flip():
    logits = np.random.default_rng(0).normal(size=(5, 2))
    assert flips(logits, logits * 2, rows([0] * 5), MOOD) == []


def test_regression_lists_the_largest_changes():
    dense = np.zeros((30, 1), dtype=np.float32)
    lean = np.arange(30, dtype=np.float32)[:, None]
    found = flips(dense, lean, rows([0.5] * 30, pair=True), ALIKE)
    assert [flip.row for flip in found] == [39 - i for i in range(LARGEST_CHANGES)]
    assert (found[0].dense_answer, found[0].lean_answer, found[0].label) == (0.0, 29.0, 0.5)
    assert found[0].text_pair == "pair 29"
    assert found[0].dense_probability is None


def test_probabilities_are_stable():
    assert probabilities(np.array([[1000.0, 1000.0], [0.0, -2000.0]])) == pytest.approx(
        np.array([[0.5, 0.5], [1, 0]])
    )


def test_rows_must_match():
    with pytest.raises(ValueError, match="same rows"):
        flips(np.zeros((2, 2)), np.zeros((2, 2)), rows([0, 1, 1]), MOOD)


def test_a_value_that_stayed_is_no_change():
    dense = np.arange(30, dtype=np.float32)[:, None]
    lean = dense.copy()
    lean[3] += 0.5
    assert [flip.row for flip in flips(dense, lean, rows([0.5] * 30), ALIKE)] == [13]


def test_a_tagged_sentence_is_one_answer():
    task = Task("names", "token-classification", False, ("O", "B-a", "I-a", "B-b", "I-b"), "span-f1")
    words = [["Ann", "Lee", "met", "Bo"], ["No", "one"], ["Bo", "sang"]]
    labels = [[1, 2, 0, 3], [0, 0, -100, -100], [3, 0, -100, -100]]
    dense = [[1, 2, 0, 3], [0, 0, -100, -100], [4, 0, -100, -100]]
    lean = [[1, 1, 0, 0], [0, 0, -100, -100], [3, 0, -100, -100]]  # I-b at the start says what B-b does

    def logits(answers):
        scores = 3.0 * np.eye(5)[np.maximum(answers, 0)]
        scores[np.array(answers) < 0] = np.nan
        return scores

    columns = {"text": [" ".join(row) for row in words], "words": words, "label": labels, "row": [1, 6, 9]}
    (flip,) = flips(logits(dense), logits(lean), Dataset.from_dict(columns), task)
    assert (flip.row, flip.text, flip.label) == (1, "Ann Lee met Bo", "a: Ann Lee; b: Bo")
    assert flip.dense_answer == "a: Ann Lee; b: Bo"
    assert flip.lean_answer == "a: Ann; a: Lee"
    sure = np.exp(3) / (np.exp(3) + 4)
    assert (flip.dense_probability, flip.lean_probability) == pytest.approx((sure, sure))
    json.dumps(asdict(flip))
    (nothing,) = flips(
        logits(dense)[:1], logits([[0, 0, 0, 0]]), Dataset.from_dict(columns).select([0]), task
    )
    assert nothing.lean_answer == "none"


def test_a_question_flips_where_its_answer_has_other_words():
    task = Task("squad", "question-answering", True, ("start", "end"), "answer-f1")
    context = "The cold dog saw a film"
    offsets = [0, 0, 0, 3, 4, 8, 9, 12, 13, 16, 17, 18, 19, 23]  # a first token, then the words
    answers = [["cold dog", "dog", "dog"], ["film"], ["a film"], ["saw"]]
    columns = {
        "text": ["who?", "what?", "what?", "did?"],
        "text_pair": [context] * 4,
        "answers": answers,
        "offsets": [offsets] * 4,
        "row": [4, 5, 6, 9],
    }
    logits = np.zeros((2, 4, 7, 2))
    for model, places in enumerate((((3, 3), (6, 6), (5, 6), (1, 1)), ((1, 1), (5, 6), (6, 6), (4, 4)))):
        for question, (start, end) in enumerate(places):
            logits[model, question, start, 0] = logits[model, question, end, 1] = 3.0
    found = flips(*logits, Dataset.from_dict(columns), task)
    assert [flip.row for flip in found] == [4, 9]
    lost, won = found
    assert (lost.text, lost.text_pair, lost.label) == ("who?", context, "cold dog / dog")
    assert (lost.dense_answer, lost.lean_answer, lost.dense_right, lost.lean_right) == (
        "dog",
        "The",
        1.0,
        0.0,
    )
    assert (won.dense_answer, won.lean_answer, won.dense_right, won.lean_right) == ("The", "saw", 0.0, 1.0)
    sure = np.exp(3) / (np.exp(3) + 6)
    assert (lost.dense_probability, lost.lean_probability) == pytest.approx((sure**2, sure**2))
    json.dumps([asdict(flip) for flip in found])
