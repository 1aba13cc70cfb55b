"""Gender-swapped twins: the grammar is kept, and a twin's twin is the text."""

import pytest

from leanformer.audit.twins import NAMES, PAIRS, gendered_words, twin

SWAPS = [
    ("He lost his keys.", "She lost her keys."),
    ("She saw him.", "He saw her."),
    ("I gave her the book.", "I gave him the book."),
    ("I gave her book away.", "I gave his book away."),
    ("The book is his.", "The book is hers."),
    ("The book is hers, not mine.", "The book is his, not mine."),
    ("They met her.", "They met him."),
    ("They asked her to stay.", "They asked him to stay."),
    ("They asked her why.", "They asked him why."),
    ("HER name is long.", "HIS name is long."),
    ("Mr. Smith and his daughter", "Ms. Smith and her son"),
    ("Mrs. Jones called.", "Mr. Jones called."),
    ("The king praised himself.", "The queen praised herself."),
    ("John is a nurse; the women know it.", "Mary is a nurse; the men know it."),
    ("Her mother's mother", "His father's father"),
    ("He's late.", "She's late."),
    ("the actress, a waiter", "the actor, a waitress"),
]


@pytest.mark.parametrize(("text", "other"), SWAPS)
def test_the_grammar_is_kept(text, other):
    assert twin(text) == other


@pytest.mark.parametrize("text", [text for text, _ in SWAPS if "Mrs" not in text])
def test_twice_is_the_text(text):
    assert twin(twin(text)) == text


@pytest.mark.parametrize(
    "text", ["The nurse is late.", "", "human shepherd", "A paul of smoke", "the theme, hermit, manual"]
)
def test_no_gender_no_twin(text):
    assert twin(text) is None


def test_words_know_their_place_and_gender():
    text = "She told him."
    words = gendered_words(text)
    assert [(one.word, one.male) for one in words] == [("She", False), ("him", True)]
    assert all(text[one.start :].startswith(one.word) for one in words)


def test_the_lists_are_pairs():
    words = [word for pair in (*PAIRS, *NAMES) for word in pair]
    assert len(words) == len(set(words))
    assert all(word == word.lower() for word in words)
