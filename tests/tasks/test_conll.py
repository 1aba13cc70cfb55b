from __future__ import annotations

import pytest

from leanformer.errors import DataError
from leanformer.tasks.conll import Sentence, tagged_sentences

WANTED = [Sentence(1, ["New", "York"], ["B-LOC", "I-LOC"]), Sentence(4, ["rains"], ["O"])]


@pytest.mark.parametrize(
    "text",
    [
        "New\tB-LOC\nYork\tI-LOC\n\nrains\tO\n",
        "New B-LOC\nYork  I-LOC\n\nrains O",
        "New\tB-LOC\r\nYork\tI-LOC\r\n\t\r\nrains\tO\r\n",  # WNUT-17's blank lines hold a tab
        "New NNP B-NP B-LOC\nYork NNP I-NP I-LOC\n\nrains VBZ B-VP O\n",
    ],
)
def test_words_and_tags(text):
    assert tagged_sentences("a.conll", text) == WANTED


def test_documents_are_no_sentences_and_blank_lines_may_repeat():
    text = "-DOCSTART- -X- -X- O\n\n\nNew B-LOC\nYork I-LOC\n\n\n-DOCSTART- -X- -X- O\nrains O\n"
    assert [(one.line, one.tokens) for one in tagged_sentences("a.txt", text)] == [
        (4, ["New", "York"]),
        (9, ["rains"]),
    ]


def test_with_tabs_a_word_may_hold_a_blank():
    assert tagged_sentences("a.conll", "New York\tB-LOC\n")[0].tokens == ["New York"]


@pytest.mark.parametrize(
    ("text", "line"), [("a O\nb\n", 2), ("a\tO\nb\t\n", 2), ("a\tO\n\n\tO\n", 3), ("a\tO\nb O\n", 2)]
)
def test_a_line_without_word_or_tag_is_refused_by_its_number(text, line):
    with pytest.raises(DataError, match=f"a.conll line {line} .*a word and its tag a line"):
        tagged_sentences("a.conll", text)
