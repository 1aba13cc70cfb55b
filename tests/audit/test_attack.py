"""Typing errors: what a bug does to a word, and what an attack does to a model that reads single words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from leanformer.audit import attack as module
from leanformer.audit.attack import LEAST_LETTERS, attack, bugs


@pytest.mark.parametrize("word", ["film", "wonderful", "aaaa", "Good"])
def test_a_bug_keeps_the_ends_of_a_word_and_is_another_word(word):
    made = bugs(word)
    assert made
    assert word not in made
    assert len(set(made)) == len(made)
    assert all(bug[0] == word[0] and abs(len(bug) - len(word)) <= 1 for bug in made)


def test_the_bugs_of_one_word():
    assert bugs("movie") == ["mo vie", "moie", "mvoie", "mo" + "v13"]


class Reader:
    """Answers "positive" where a text has more good words than bad ones, misspelt ones not counted."""

    def __init__(self):
        self.asked = 0

    def margins(self, texts, labels):
        self.asked += len(texts)
        words = [[word for part in parts for word in part] for parts in texts]
        score = np.array([sum({"great": 1, "awful": -1}.get(word, 0) for word in ws) + 0.5 for ws in words])
        return np.where(labels == 1, score, -score)


@pytest.fixture
def reader(monkeypatch):
    made = Reader()
    monkeypatch.setattr(module, "_Asks", lambda model, tokenizer: made)
    return made


def rows(*labelled):
    return Dataset.from_dict(
        {"text": [text for text, _ in labelled], "label": [label for _, label in labelled]}
    )


def test_an_answer_that_hangs_on_one_word_turns(reader):
    found = attack(
        None, rows(("an awful film with music", 0), ("a great film with music", 1)), None, "Attack"
    )
    assert (found.clean, found.n) == (1.0, 2)
    assert found.attacked == 0.5  # without "great" the answer is still positive
    assert found.changed_words == 1.0


def test_the_budget_of_words_ends_an_attack(reader):
    text = "awful awful awful some more words that stay here"
    assert attack(None, rows((text, 0)), None, "Attack", most_share=0.2).attacked == 1.0  # one word of nine
    assert attack(None, rows((text, 0)), None, "Attack", most_share=0.4).attacked == 0.0  # three
    assert attack(None, rows((text, 0)), None, "Attack", most_share=0.0).attacked == 1.0  # still one


def test_a_wrong_answer_is_not_attacked_and_short_words_are_left(reader):
    found = attack(None, rows(("an awful film", 1)), None, "Attack")
    assert (found.clean, found.attacked) == (0.0, 0.0)
    assert reader.asked == 1
    short = "a" * (LEAST_LETTERS - 1)
    assert attack(None, rows((f"{short} {short}", 1)), None, "Attack").attacked == 1.0


def test_a_real_classifier_loses_no_answer_that_it_did_not_have(tiny_model, tiny_tokenizer, mood_held_out):
    model = tiny_model("bert").eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = attack(model, mood_held_out, tiny_tokenizer, "Attack")
    assert 0 <= found.attacked <= found.clean <= 1
    assert found.n == len(mood_held_out)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
