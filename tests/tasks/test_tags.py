from __future__ import annotations

import pytest

from leanformer.errors import DataError
from leanformer.tasks.read import Table
from leanformer.tasks.tags import check_sentences, sentence_tags, tag_ids, tag_names
from leanformer.tasks.words import IGNORED


def table(tags, words=None, names=()):
    words = words or [["word"] * len(row) for row in tags]
    return Table(
        "a.json", {"tokens": words, "tags": tags}, list(range(1, len(tags) + 1)), "row", {"tags": names}
    )


def test_labels_are_both_tags_of_every_type_whatever_the_data_use():
    data = table([["I-b", "O", "O", "O"], ["B-a", "I-a", "O", "O"]])
    assert tag_names(data, "tags") == ("O", "B-a", "I-a", "B-b", "I-b")
    assert tag_ids(data, "tags", tag_names(data, "tags"), width=4) == [[3, 0, 0, 0], [1, 2, 0, 0]]


def test_ids_are_padded():
    assert tag_ids(table([["O"], ["O", "B-a", "O"]]), "tags", ("O", "B-a", "I-a"), width=3) == [
        [0, IGNORED, IGNORED],
        [0, 1, 0],
    ]


def test_numbers_are_read_by_the_names_of_their_classes():
    assert sentence_tags(table([[0, 2, 1]], names=("O", "B-a", "I-a")), "tags") == [["O", "B-a", "B-a"]]


@pytest.mark.parametrize("tag", [0, 7, -1, "3", "", None, 1.5])
def test_a_tag_that_names_no_type_is_refused(tag):
    with pytest.raises(DataError, match=r"a.json row 2 has the tag .* names no type"):
        sentence_tags(table([["O"], [tag]]), "tags")


def test_a_type_that_training_lacks_is_refused():
    with pytest.raises(DataError, match=r"row 2 has a span of the type 'b'.*do not have \(a\)"):
        tag_ids(table([["B-a"], ["I-b"]]), "tags", ("O", "B-a", "I-a"), width=1)


def test_tags_without_a_span_and_columns_of_words_are_refused():
    with pytest.raises(DataError, match="nothing to learn"):
        tag_names(table([["O", "O"]]), "tags")
    with pytest.raises(DataError, match="4 types in 5 words, too many for tags"):
        tag_names(table([["once", "upon", "a", "time", "a"]]), "tags")


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        (["a", "b"], ["O"], "row 1 has 2 words and 1 tags in 'tags'"),
        (["a", "b"], None, "row 1 has 2 words and None"),
        ([], [], "row 1 has no list of words"),
        ("text", ["O"], "row 1 has no list of words"),
        (["a", None], ["O", "O"], "row 1 has no list of words"),
    ],
)
def test_sentences_that_can_not_be_read(words, tags, message):
    with pytest.raises(DataError, match=message):
        check_sentences(table([tags], [words]), "tokens", "tags")
