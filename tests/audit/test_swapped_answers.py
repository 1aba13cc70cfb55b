"""Twins of a task's texts, and what they change in answers."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny_masked import gendered_tokenizer
from transformers import AutoModelForSequenceClassification

from leanformer.audit.answering import of_model
from leanformer.audit.answers import (
    FEMALE,
    MALE,
    changed_by_group,
    group_names,
    make_twins,
    rate_figures,
    swap_figures,
)
from leanformer.audit.figure import Unmeasured
from leanformer.tasks.task import Task
from tiny import build_config


def rows(texts, pairs=None):
    columns = {"text": texts, "row": list(range(1, len(texts) + 1))}
    return Dataset.from_dict(columns | ({} if pairs is None else {"text_pair": pairs}))


def test_texts_are_sorted_by_gender_and_both_texts_of_a_pair_are_swapped():
    twins = make_twins(rows(["he works", "a dog", "her film", "he and she"], ["his dog", "x", "good", "x"]))
    assert twins.rows.tolist() == [0, 2]
    assert twins.groups.tolist() == [MALE, "", FEMALE, ""]
    assert twins.male["text"][:] == ["he works", "his film"]
    assert twins.female["text"][:] == ["she works", "her film"]
    assert twins.male["text_pair"][:] == ["his dog", "good"]
    assert twins.female["text_pair"][:] == ["her dog", "good"]


@pytest.fixture
def sensitive():
    """A classifier that hears nothing but "he"."""
    tokenizer = gendered_tokenizer()
    config = build_config("bert", layers=1)
    config.vocab_size = len(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return of_model(AutoModelForSequenceClassification.from_config(config).eval(), tokenizer)


def test_a_swap_is_measured_on_pairs_of_texts(sensitive, mood_task):
    texts = [
        f"{word} was {mood}"
        for word in ("he", "she")
        for mood in ("good", "bad", "great", "fine", "dull", "sad")
    ]
    twins = make_twins(rows(texts))
    size, direction, flips = swap_figures(sensitive, twins, mood_task)
    assert size.n == direction.n == flips.n == 12
    assert size.value >= abs(direction.value) > 0
    assert "P(positive)" in size.subject
    turned = twins.__class__(twins.female, twins.male, twins.rows, twins.groups)
    assert swap_figures(sensitive, turned, mood_task)[1].value == pytest.approx(-direction.value)


def test_texts_without_gender_words_are_said_to_have_none(sensitive, mood_task):
    found = swap_figures(sensitive, make_twins(rows(["a good film"] * 20)), mood_task)
    assert isinstance(found[0], Unmeasured)
    assert "fewer than 10 of the 20 texts have a gender word" in found[0].reason


def test_a_task_without_one_answer_a_text_is_said_to_have_none(sensitive):
    tagging = Task("tags", "token-classification", False, ("O", "B"), "f1")
    found = swap_figures(sensitive, make_twins(rows(["he works"] * 20)), tagging)
    assert "a task of token-classification has no one class or value a text" in found[0].reason


def test_rates_of_groups(mood_task):
    logits = np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]] * 10)
    labels = np.array([1, 1, 1, 1] * 10)
    groups = np.array(["f", "f", "m", ""] * 10)
    whole, positive = rate_figures(logits, labels, groups, mood_task, "sex")
    assert (positive.subject, positive.value, positive.n) == ("class positive", -50.0, 30)
    assert positive.low < -50 < positive.high < 0
    assert whole.value == 50.0
    assert positive.note == "f less m"


def test_rates_need_two_groups_and_classes(mood_task):
    logits, labels = np.zeros((3, 2)), np.zeros(3, dtype=int)
    found = rate_figures(logits, labels, np.array(["a", "b", "c"]), mood_task, "sex")[0]
    assert "column sex" in found.reason
    values = Task("stars", "regression", False, (), "spearman")
    assert (
        "no true-positive rates"
        in rate_figures(np.zeros((3, 1)), labels, np.array(["a"] * 3), values)[0].reason
    )


def test_whose_answers_changed():
    before = np.array([[1.0, 0.0]] * 40)
    after = before.copy()
    groups = np.array([MALE, FEMALE] * 20)
    after[groups == FEMALE] = [0.0, 1.0]
    by_female, by_male, gap = changed_by_group(before, after, groups)
    assert (by_female.value, by_male.value, gap.value) == (100.0, 0.0, 100.0)
    assert (by_female.n, by_male.n, gap.n) == (20, 20, 40)
    few = changed_by_group(before, after, np.array([MALE] * 39 + [FEMALE]))
    assert isinstance(few[0], Unmeasured)


def test_groups_of_a_column():
    assert group_names([" f", None, 3]).tolist() == ["f", "", "3"]
