"""Methods on models that answer questions: what is left says of every token whether answers start or end there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, DataError
from leanformer.methods.multitask import member_of
from leanformer.methods.registry import METHODS
from leanformer.search.answers import Answers
from leanformer.tasks.encode import encode
from leanformer.tasks.judged import labels_of
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict
from tiny import build_reader

LONGEST = 24
REDUCING = ("power-bert", "length-adaptive", "tr-bert")


@pytest.fixture
def answering(problem, squad, tiny_tokenizer):
    """The factory of `problem` with a model that answers questions and its data, some of them in two strides."""
    data = load_data(DataSpec(str(squad)))
    train, held_out = (
        encode(part, tiny_tokenizer, LONGEST, truncate=False) for part in (data.train, data.validation)
    )

    def make(name, **fields):
        granularity = METHODS[name].granularities[0]
        case = problem(granularity, teacher=build_reader("bert", layers=3), folder=name, **fields)
        given = {"task": data.task, "train": train.select(range(64)), "held_out": held_out}
        return replace(case, **given, options=METHODS[name].settings({}))

    return make


@pytest.mark.parametrize(
    "name",
    [
        "one-shot",
        "ae-bert",
        "power-bert",
        pytest.param("length-adaptive", marks=pytest.mark.thorough),
        pytest.param("tr-bert", marks=pytest.mark.thorough),
        pytest.param("drop-layers", marks=pytest.mark.thorough),
        pytest.param("uniform-magnitude", marks=pytest.mark.thorough),
        pytest.param("taylor-heads", marks=pytest.mark.thorough),
        pytest.param("astar-heads", marks=pytest.mark.thorough),
        pytest.param("accuracy-driven", marks=pytest.mark.thorough),
        pytest.param("l0-heads", marks=pytest.mark.thorough),
        pytest.param("movement", marks=pytest.mark.thorough),
        pytest.param("grain", marks=pytest.mark.thorough),
    ],
)
def test_what_is_left_answers_for_every_token(name, answering):
    case = answering(name)
    found = METHODS[name].run(case)
    logits = predict(found.model, case.held_out, case.tokenizer)
    lengths = np.array([len(ids) for ids in case.held_out["input_ids"][:]])
    np.testing.assert_array_equal(np.isfinite(logits).all(axis=-1).sum(axis=1), lengths)
    if name in REDUCING:
        assert EncoderView(found.model).kept_tokens(2) < 1


def test_a_search_hears_losses_and_scores_of_questions(answering):
    case = answering("one-shot")
    answers = Answers(case.teacher, case.tokenizer, case.held_out, case.task)
    found = answers.of({})
    logits = predict(case.teacher, case.held_out, case.tokenizer)
    assert found.score == score("answer-f1", logits, labels_of(case.held_out))
    (start, end), row = case.held_out[0]["label"], logits[0, : len(case.held_out[0]["input_ids"])]
    by_hand = [
        row[place, kind] - np.log(np.exp(row[:, kind]).sum()) for kind, place in enumerate((start, end))
    ]
    assert found.losses[0] == pytest.approx(-np.mean(by_hand), rel=1e-5)


@pytest.mark.parametrize("name", ["robust-tickets", "multitask"])
def test_methods_that_need_one_answer_a_text_say_so(name, answering):
    with pytest.raises(BudgetError, match=r"needs classes of texts|answers whole texts"):
        METHODS[name].run(answering(name))


def test_questions_are_no_further_task_of_several(problem, squad):
    with pytest.raises(DataError, match="squad asks for parts of them"):
        member_of(problem(), DataSpec(str(squad)))
