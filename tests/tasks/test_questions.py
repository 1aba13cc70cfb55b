"""Tables of questions: what belongs together, what is refused, and what is held out."""

import json

import numpy as np
import pytest
from datasets import Dataset

from leanformer.errors import DataError
from leanformer.tasks.columns import Columns
from leanformer.tasks.encode import encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.questions import question_rows
from leanformer.tasks.read import Table
from leanformer.tasks.split import FEWEST_GROUPS, few_rows, hold_out, split_held_out, split_validation
from tiny import MAX_TOKENS, build_squad, write_squad

COLUMNS = Columns("question", "context", "label", answers=True)


def table_of(**changes):
    columns = {
        "question": ["who?", "where?", "when?"],
        "context": ["Ann was in Rome.", "Ann was in Rome.", "Bob came in May."],
        "label": [
            {"text": ["Ann"], "answer_start": [0]},
            {"text": ["Rome", "in Rome"], "answer_start": [11, 8]},
            {"text": ["May"], "answer_start": [12]},
        ],
    }
    return Table("data.jsonl", columns | changes, [1, 2, 3])


def test_rows_bear_the_numbers_of_what_they_belong_to():
    rows = question_rows(table_of(title=["a", "b", "a"]), COLUMNS)
    assert rows["text"] == ["who?", "where?", "when?"]
    assert rows["answers"][1] == ["Rome", "in Rome"]
    assert rows["begins"][1] == [11, 8]
    assert (rows["article"], rows["paragraph"], rows["row"]) == ([0, 1, 0], [0, 0, 1], [1, 2, 3])
    assert question_rows(table_of(), COLUMNS)["article"] == [0, 0, 1]  # no titles: a text is its own article
    assert question_rows(table_of(title=["a", None, "a"]), COLUMNS)["article"] == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": ["who?", " ", "when?"]}, "line 2 has no text in 'question'"),
        ({"context": ["Ann was in Rome.", None, "Bob"]}, "line 2 has no text in 'context'"),
        ({"label": ["Ann", "Rome", "May"]}, "line 1 has no answers in 'label'"),
        ({"label": [{"text": ["Ann"], "answer_start": []}] * 3}, "line 1 has no answers in 'label'"),
        ({"label": [{"text": [], "answer_start": []}] * 3}, "line 1 has no answer in its text, as SQuAD 2.0"),
        ({"label": [{"text": ["Ann"], "answer_start": [1]}] * 3}, "'Ann' at 1, and it does not stand there"),
        (
            {"label": [{"text": ["Ann"], "answer_start": [-16]}] * 3},
            "'Ann' at -16, and it does not stand there",
        ),
        ({"label": [{"text": [" "], "answer_start": [3]}] * 3}, "' ' at 3, and it does not stand there"),
        (
            {"label": [{"text": ["Ann"], "answer_start": ["0"]}] * 3},
            "'Ann' at '0', and it does not stand there",
        ),
    ],
)
def test_what_can_not_be_used_is_named(change, message):
    with pytest.raises(DataError, match=message):
        question_rows(table_of(**change), COLUMNS)


def test_a_folder_of_squad_is_understood(squad):
    data = load_data(DataSpec(str(squad)))
    assert (data.task.kind, data.task.labels, data.task.pair) == (
        "question-answering",
        ("start", "end"),
        True,
    )
    assert (data.task.metric, data.task.extra_metrics) == ("answer-f1", ("exact-match",))
    assert "squad: question-answering of questions\n" in data.description
    assert "question 'question', text 'context', answers 'answers'" in data.description
    assert "rows: train 120, validation 40" in data.description


def test_flat_rows_of_the_hub_are_understood(tmp_path):
    lines = []
    for article in build_squad(12, seed=0)["data"]:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                answers = {
                    name: [answer[name] for answer in one["answers"]] for name in ("text", "answer_start")
                }
                fields = {
                    "title": article["title"],
                    "context": paragraph["context"],
                    "question": one["question"],
                }
                lines.append(json.dumps({**fields, "answers": answers}))
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    data = load_data(DataSpec(str(tmp_path), metric="exact-match"))
    assert (data.task.metric, data.task.extra_metrics) == ("exact-match", ("answer-f1",))
    assert (
        "validation rows: a fixed tenth of the training rows, by whole articles or texts" in data.description
    )
    assert not set(data.train["article"]) & set(data.validation["article"])
    assert len(data.validation) in (6, 12)
    Dataset.from_list([json.loads(line) for line in lines]).to_parquet(tmp_path / "rows.parquet")
    assert load_data(DataSpec(str(tmp_path / "rows.parquet"))).task.kind == "question-answering"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"kind": "classification"},
            "holds questions with their answers, which classification does not take",
        ),
        ({"kind": "token-classification"}, "holds questions with their answers, which token-classification"),
        ({"metric": "f1"}, "does not fit a question-answering task: choose one of answer-f1, exact-match"),
        ({"text_pair": "passage"}, "has no column 'passage'"),
    ],
)
def test_what_does_not_fit_questions_is_refused(fields, message, squad):
    with pytest.raises(DataError, match=message):
        load_data(DataSpec(str(squad), **fields))


def test_texts_are_no_questions(tiny_task):
    with pytest.raises(DataError, match="holds texts, which question-answering does not take"):
        load_data(DataSpec(str(tiny_task), kind="question-answering"))


def test_the_first_rows_are_questions(squad):
    assert len(load_data(DataSpec(str(squad), train_rows=7)).train) == 7


def groups(rows, name):
    return set(rows[name][:])


def test_whole_articles_are_held_out_and_whole_texts_where_there_are_few(squad, tiny_tokenizer):
    data = load_data(DataSpec(str(squad)))
    train, validation = (
        encode(part, tiny_tokenizer, 20, truncate=False) for part in (data.train, data.validation)
    )
    assert len(groups(train, "article")) >= FEWEST_GROUPS
    assert len(train) > len(groups(train, "row"))  # some texts are longer than a stride
    kept, held = split_held_out(train, validation, data.task, seed=0)
    assert not groups(kept, "article") & groups(held, "article")
    assert len(kept) + len(held) == len(train)
    assert abs(len(held) - len(train) / 10) <= 6  # an article has about seven strides
    assert groups(split_held_out(train, validation, data.task, seed=1)[1], "article") != groups(
        held, "article"
    )

    assert len(groups(validation, "article")) < FEWEST_GROUPS
    reported, judging = split_validation(validation, data.task, seed=0)
    assert groups(reported, "article") & groups(judging, "article")
    assert not groups(reported, "paragraph") & groups(judging, "paragraph")
    assert len(judging) == pytest.approx(len(validation) / 2, abs=3)

    few = few_rows(held, data.task, 5, seed=0)  # two articles, six texts: questions alone are left to draw by
    every = np.asarray(held["row"][:])
    assert all((every == row).sum() == (np.asarray(few["row"][:]) == row).sum() for row in groups(few, "row"))
    assert 2 <= len(few) <= 8


def test_one_question_can_not_be_divided(tmp_path, tiny_tokenizer):
    content = build_squad(1, seed=0, paragraphs=1)
    del content["data"][0]["paragraphs"][0]["qas"][1]
    content["data"][0]["paragraphs"][0]["context"] += " the film and the dog" * 9
    data = load_data(
        DataSpec(str(write_squad(tmp_path / "train.json", content)), validation=str(tmp_path / "train.json"))
    )
    rows = encode(data.train, tiny_tokenizer, MAX_TOKENS // 2, truncate=False)
    assert len(rows) > 1
    with pytest.raises(DataError, match="one question alone"):
        hold_out(rows, data.task, 1, seed=0)
