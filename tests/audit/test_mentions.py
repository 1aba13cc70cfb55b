"""Sentences with gender words and target words: found, balanced, and refused where there are too few."""

import json
from pathlib import Path

import pytest

from leanformer.audit.mentions import OWN_WORDS, Words, mentions, read_words, require_mentions
from leanformer.errors import DataError

WORDS = Words(("he", "king"), ("she",), ("nurse", "art"))
MOST = {"male": 20, "female": 20, "target": 20}


def test_the_place_of_the_word_is_known():
    (found,) = mentions(["Yesterday the King was very well."], WORDS, MOST)
    assert found.text[slice(*found.span)] == "King"
    assert (found.word, found.kind) == ("king", "male")


def test_parts_of_words_short_and_long_sentences_are_no_mentions():
    assert not mentions(
        ["The artist thinks about other things.", "She is here.", "she " + "very " * 90], WORDS, MOST
    )


def test_a_sentence_counts_for_the_kind_that_lacks_most():
    text = "Then he and she were in town."
    assert [one.kind for one in mentions([text, text], WORDS, MOST)] == ["male", "female"]


def test_no_word_is_more_than_a_tenth_and_reading_ends():
    read = []

    def texts():
        for number in range(1000):
            read.append(number)
            yield "Yesterday he was here with art." if number % 2 else "Yesterday the king and she were out."

    found = mentions(texts(), WORDS, {"male": 20, "female": 1, "target": 1})
    assert sum(one.word == "he" for one in found) == 2
    assert len(read) == 1000  # male words never fill up
    read.clear()
    mentions(texts(), WORDS, {"male": 1, "female": 1, "target": 1})
    assert len(read) < 5


def test_too_few_are_refused():
    found = mentions(["Yesterday he was here with her."], WORDS, MOST)
    with pytest.raises(
        DataError, match=r"corpus.txt has too few .* 0 with a female word, 0 with a target word"
    ):
        require_mentions(found, Path("corpus.txt"))


def test_our_own_words_are_each_of_one_kind():
    assert len(OWN_WORDS.kinds()) == sum(map(len, (OWN_WORDS.male, OWN_WORDS.female, OWN_WORDS.target)))


def test_words_from_a_file(tmp_path):
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"male": ["He"], "female": ["she"], "target": ["nurse"]}))
    assert read_words(path) == Words(("he",), ("she",), ("nurse",))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "no list of words"),
        ('{"male": ["he"]}', "no list of words"),
        ('{"male": [], "female": ["she"], "target": ["art"]}', "has no male words"),
        ('{"male": ["he"], "female": ["he"], "target": ["art"]}', "names 'he' twice"),
    ],
)
def test_bad_files_of_words(tmp_path, content, sentence):
    path = tmp_path / "words.json"
    path.write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_words(path)
