"""Files of SQuAD's layout: questions in their order, and what is said of files that lack a part."""

import json

import pytest

from leanformer.errors import DataError
from leanformer.tasks.read import read_table
from leanformer.tasks.squad import is_squad, questions
from tiny import build_squad, write_squad


def test_questions_come_in_the_order_of_the_file(tmp_path):
    content = build_squad(3, seed=0, paragraphs=2)
    table = read_table(write_squad(tmp_path / "train.json", content))
    assert table.unit == "question"
    assert table.rows == list(range(1, 13))
    assert table.where(4) == f"{tmp_path / 'train.json'} question 5"
    assert table.columns["title"] == [f"article {number}" for number in range(3) for _ in range(4)]
    paragraph = content["data"][1]["paragraphs"][0]
    assert table.columns["context"][4:6] == [paragraph["context"]] * 2
    assert table.columns["question"][4] == paragraph["qas"][0]["question"]
    (answer,) = paragraph["qas"][0]["answers"]
    assert table.columns["answers"][4] == {"text": [answer["text"]], "answer_start": [answer["answer_start"]]}


def test_a_file_over_many_lines_is_read_too(tmp_path):
    content = build_squad(1, seed=0)
    (tmp_path / "train.json").write_text(json.dumps(content, indent=2))
    assert len(read_table(tmp_path / "train.json").rows) == 6


def test_other_json_is_no_squad():
    assert not is_squad('{"text": "the paragraphs and qas", "label": 1}\n{"text": "b", "label": 2}')
    assert not is_squad('[{"paragraphs": [], "qas": []}]')
    assert is_squad(' {"data": [{"paragraphs": [{"qas": []}]}]}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.pop("data"), "train.json has no list 'data'"),
        (lambda one: one["data"][1].pop("paragraphs"), "article 'article 1' has no list 'paragraphs'"),
        (
            lambda one: one["data"][0]["paragraphs"][0].update(qas="?"),
            "a paragraph of 'article 0' has no list 'qas'",
        ),
        (
            lambda one: one["data"][0]["paragraphs"][0]["qas"][1].pop("answers"),
            "question 2 has no list 'answers'",
        ),
        (
            lambda one: one["data"][0]["paragraphs"][0]["qas"][1].update(answers=["dull"]),
            "question 2 has answers that are no objects",
        ),
    ],
)
def test_a_missing_part_is_named(change, message):
    content = build_squad(2, seed=0)
    change(content)
    with pytest.raises(DataError, match=message):
        questions("train.json", content)


def test_half_characters_are_refused(tmp_path):
    content = build_squad(1, seed=0)
    content["data"][0]["paragraphs"][1]["context"] += "\ud800"
    with pytest.raises(DataError, match="question 3 can not be decoded"):
        read_table(write_squad(tmp_path / "train.json", content))


def test_broken_json_is_named_by_its_line(tmp_path):
    (tmp_path / "train.json").write_text('{"data": [{"paragraphs":\n[{"qas": [}]}]}')
    with pytest.raises(DataError, match="line 2 can not be decoded"):
        read_table(tmp_path / "train.json")
