"""WEAT, SEAT and CEAT of a model, on vectors that a test plants."""

import numpy as np

from leanformer.audit import associations
from leanformer.audit.associations import CEAT, SEAT, ceat, seat, seat_of_sentences, weat
from leanformer.audit.figure import Unmeasured
from leanformer.audit.words import WordTest

TEST = WordTest(
    "planted", (("engineer", "guard"), ("nurse", "Mary")), (("he", "man", "him"), ("she", "woman", "her"))
)
MALE = {"engineer", "guard", "he", "man", "him"}


def planted(asked, texts, spans):
    """Male words point one way and female words the other, with a little noise."""
    words = [text[start:end] for text, (start, end) in zip(texts, spans, strict=True)]
    noise = np.random.default_rng(0).normal(0, 0.01, (len(words), 2))
    return np.array([[1.0, 0.1] if word in MALE else [0.1, 1.0] for word in words]) + noise


def test_planted_bias_is_found_in_each_word_of_each_template(monkeypatch):
    monkeypatch.setattr(associations, "word_vectors", planted)
    for found in (weat(None, [TEST])[0], seat(None, [TEST], of_word=True)[0]):
        assert found.value > 1.5
        assert found.low > 0
        assert found.n == 4
        assert found.p < 0.25


def test_a_random_model_is_measured_on_all_sentences(masked):
    found = seat(masked, [TEST], samples=100)[0]
    assert (found.metric, found.n, found.unit) == (SEAT, 4, "target words")
    assert found.low <= found.value <= found.high


def test_given_sentences_have_to_be_balanced(masked):
    four = (["he works", "the man"], ["she works", "the woman"], ["good"], ["bad"])
    found, missing = seat_of_sentences(masked, {"even": four, "odd": (four[0][:1], *four[1:])})
    assert found.subject == "even"
    assert isinstance(missing, Unmeasured)
    assert "1 first and 2 second targets" in missing.reason


def test_contexts_are_pooled_where_enough_words_have_them(monkeypatch):
    monkeypatch.setattr(associations, "word_vectors", planted)
    monkeypatch.setattr(associations, "FEWEST_WORDS", 2)
    words = [word for part in (*TEST.targets, *TEST.attributes) for word in part]
    contexts = {word: [(f"then {word} came", (5, 5 + len(word)))] * 3 for word in words}
    found = ceat(None, [TEST], contexts)[0]
    assert (found.metric, found.n) == (CEAT, 3 * len(words))
    assert found.value > 1
    assert found.low > 0
    missing = ceat(None, [TEST], {"he": contexts["he"]})[0]
    assert "too few words of “planted”" in missing.reason


def test_a_word_is_found_behind_its_article():
    text, (start, end) = associations._sentence("{} is here.", "engineer", bare=False)
    assert (text, text[start:end]) == ("An engineer is here.", "engineer")
