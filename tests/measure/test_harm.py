"""Limits on what may change: what is measured, when a limit is broken, and what can not be limited."""

from __future__ import annotations

import numpy as np
import pytest

from leanformer.budget import BIAS, FLIPS, Budget
from leanformer.errors import BudgetError
from leanformer.measure.harm import Seen, Watch, watch_of
from leanformer.tasks.predict import predict
from leanformer.tasks.task import Task
from tiny import MAX_TOKENS, encode_rows

LEFT, RIGHT = [2.0, -1.0], [-1.0, 2.0]
TAGGING = Task("tags", "token-classification", False, ("O", "B-a", "I-a"), "span-f1")


def rows_of(tokenizer, gendered=12, plain=4):
    who = ["he" if number % 2 else "she" for number in range(gendered)]
    texts = [f"{word} was good {number}" for number, word in enumerate(who)] + ["a good film"] * plain
    return encode_rows([(text, "positive") for text in texts], tokenizer)


def seen(logits, swaps=None):
    return Seen(np.array(logits), None if swaps is None else np.array(swaps))


def test_flips_are_percent_of_the_answers(mood_task):
    watch = Watch(mood_task, {FLIPS: 1.0})
    found = watch.harms(seen([LEFT, LEFT, RIGHT, RIGHT]), seen([LEFT, RIGHT, RIGHT, RIGHT]), np.zeros(4, int))
    assert found.keys() == {FLIPS}
    assert found[FLIPS].value == 25.0
    assert 0.0 <= found[FLIPS].low < 25.0 < found[FLIPS].high <= 100.0
    assert found[FLIPS].n == 4


def test_of_tagged_sentences_those_flip_that_have_another_span():
    outside, begins = [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]
    dense = np.array([[outside, begins], [outside, outside], [begins, outside]])
    other = np.array([[outside, begins], [outside, begins], [outside, outside]])
    labels = np.array([[0, 1], [0, -100], [1, 0]])  # the second sentence has one word
    found = Watch(TAGGING, {FLIPS: 1.0}).harms(Seen(dense, None), Seen(other, None), labels)
    assert found[FLIPS].value == pytest.approx(100 / 3)


def test_bias_grows_by_the_mean_of_the_swaps(mood_task):
    watch = Watch(mood_task, {BIAS: 0.01})
    found = watch.harms(seen([LEFT], [0.1, 0.2]), seen([LEFT], [0.3, 0.1]), np.zeros(1, int))
    assert found.keys() == {BIAS}
    assert found[BIAS].value == pytest.approx(0.05)
    assert (found[BIAS].low, found[BIAS].high) == (pytest.approx(-0.1), pytest.approx(0.2))


def test_a_limit_is_broken_by_a_share_of_itself_and_the_worst_counts(mood_task):
    watch = Watch(mood_task, {FLIPS: 2.0, BIAS: 0.01})
    assert watch.excess({FLIPS: 2.0, BIAS: -0.3}) == 0.0
    assert watch.excess({FLIPS: 3.0, BIAS: 0.0}) == pytest.approx(0.5)
    assert watch.excess({FLIPS: 3.0, BIAS: 0.03}) == pytest.approx(2.0)
    assert Watch(mood_task, {FLIPS: 0.0}).excess({FLIPS: 0.5}) == 0.5


def test_without_limits_there_is_nothing_to_watch(mood_task, tiny_tokenizer):
    assert watch_of(Budget(0.5), rows_of(tiny_tokenizer), tiny_tokenizer, mood_task, MAX_TOKENS) is None


def test_a_model_is_asked_about_rows_and_twins(tiny_model, mood_task, tiny_tokenizer):
    rows, budget = rows_of(tiny_tokenizer), Budget(max_flips_percent=1.0, max_bias_increase=0.1)
    watch = watch_of(budget, rows, tiny_tokenizer, mood_task, MAX_TOKENS)
    dense, other = tiny_model("bert"), tiny_model("bert", heads=2)
    answers = [
        watch.see(lambda part, model=model: predict(model, part, tiny_tokenizer), rows)
        for model in (dense, other)
    ]
    assert all(len(one.swaps) == 12 and (one.swaps > 0).any() for one in answers)
    same = watch.harms(answers[0], answers[0], np.asarray(rows["label"][:]))
    assert {name: figure.value for name, figure in same.items()} == {FLIPS: 0.0, BIAS: 0.0}
    changed = watch.harms(*answers, np.asarray(rows["label"][:]))
    assert changed[BIAS].value == pytest.approx(answers[1].swaps.mean() - answers[0].swaps.mean())
    assert (changed[FLIPS].n, changed[BIAS].n) == (16, 12)
    assert watch.parcel().male["input_ids"][:] == watch.male["input_ids"][:]


@pytest.mark.parametrize(
    ("task", "limits", "sentence"),
    [
        (
            Task("s", "regression", True, (), "spearman"),
            {"max_flips_percent": 1.0},
            "--max-flips counts changed answers, and a task of regression has values and no classes",
        ),
        (TAGGING, {"max_bias_increase": 0.1}, "which a task of token-classification has not: leave it out"),
        (
            Task("v", "embedding", True, (), "spearman_cosine"),
            {"max_bias_increase": 0.1},
            "a task of embedding has not",
        ),
    ],
)
def test_what_a_task_has_not_can_not_be_limited(task, limits, sentence, tiny_tokenizer):
    with pytest.raises(BudgetError, match=sentence):
        watch_of(Budget(**limits), rows_of(tiny_tokenizer), tiny_tokenizer, task, MAX_TOKENS)


def test_texts_without_gender_words_are_refused(mood_task, tiny_tokenizer):
    rows = rows_of(tiny_tokenizer, gendered=4, plain=20)
    with pytest.raises(BudgetError, match="only 4 of the 24 held-out texts have a gender word"):
        watch_of(Budget(max_bias_increase=0.1), rows, tiny_tokenizer, mood_task, MAX_TOKENS)
    assert watch_of(Budget(max_flips_percent=1.0), rows, tiny_tokenizer, mood_task, MAX_TOKENS).male is None
