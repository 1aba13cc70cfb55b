from __future__ import annotations

import pytest

from leanformer.errors import DataError
from leanformer.tasks.columns import Columns, choose_columns
from leanformer.tasks.read import Table

SENTENCES = [f"this is sentence number {number} of many" for number in range(20)]
OTHERS = [f"and here stands the other text {number}" for number in range(20)]
CLASSES = ["good", "bad"] * 10
NUMBERS = list(range(20))


def table(**columns: list) -> Table:
    return Table("data.csv", columns, list(range(2, 22)))


@pytest.mark.parametrize(
    ("one", "two"),
    [("sentence1", "sentence2"), ("premise", "hypothesis"), ("text_a", "text_b"), ("Question", "Sentence")],
)
def test_pairs_by_name(one, two):
    data = table(**{"index": NUMBERS, one: SENTENCES, two: OTHERS, "label": CLASSES})
    assert choose_columns(data, None, None, None) == Columns(one, two, "label")


@pytest.mark.parametrize(
    ("text", "label"), [("text", "label"), ("review", "sentiment"), ("Sentence", "score")]
)
def test_single_texts_by_name(text, label):
    data = table(**{text: SENTENCES, "id": NUMBERS, label: CLASSES})
    assert choose_columns(data, None, None, None) == Columns(text, None, label)


def test_by_content():
    data = table(number=NUMBERS, remark=SENTENCES, verdict=CLASSES)
    assert choose_columns(data, None, None, None) == Columns("remark", None, "verdict")


def test_the_only_other_column_is_the_text():
    data = table(text_a=["好", "坏"] * 10, label=CLASSES)
    assert choose_columns(data, None, None, None).text == "text_a"


def test_the_users_word_comes_first():
    data = table(sentence1=SENTENCES, sentence2=OTHERS, label=CLASSES, other=CLASSES)
    assert choose_columns(data, "sentence2", None, "other") == Columns("sentence2", None, "other")
    assert choose_columns(data, "sentence2", "sentence1", None) == Columns("sentence2", "sentence1", "label")


def test_second_text_alone():
    data = table(sentence=SENTENCES, extra=OTHERS, label=CLASSES)
    assert choose_columns(data, None, "extra", None) == Columns("sentence", "extra", "label")


@pytest.mark.parametrize(
    ("text", "text_pair", "label"),
    [("text", None, "text"), ("text", "text", None), (None, "text", "text")],
)
def test_one_column_is_not_two_things(text, text_pair, label):
    with pytest.raises(DataError, match=r"'text' .*twice.*--text.*--label"):
        choose_columns(table(text=SENTENCES, label=CLASSES), text, text_pair, label)


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"left": SENTENCES, "right": OTHERS, "label": CLASSES}, "text column"),
        ({"text": SENTENCES, "target": CLASSES, "topic": CLASSES}, "label column"),
        ({"text": SENTENCES, "id": NUMBERS}, "label column"),
        (
            {"text_a": SENTENCES, "text_b": OTHERS, "sent1": SENTENCES, "sent2": OTHERS, "label": CLASSES},
            "pair of texts",
        ),
    ],
)
def test_ambiguous_columns_list_themselves_and_the_flags(columns, what):
    with pytest.raises(DataError) as caught:
        choose_columns(table(**columns), None, None, None)
    message = str(caught.value)
    assert what in message
    assert all(f"'{name}'" in message for name in columns)
    assert all(flag in message for flag in ("--text", "--text-pair", "--label"))


@pytest.mark.parametrize("flag", ["text", "text_pair", "label"])
def test_unknown_column(flag):
    wanted = {"text": None, "text_pair": None, "label": None, flag: "nothing"}
    with pytest.raises(DataError, match=r"data\.csv has no column 'nothing' .*'text', 'label'"):
        choose_columns(table(text=SENTENCES, label=CLASSES), **wanted)
