"""Methods on models that answer for words: what is left answers for every one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, DataError, ModelError
from leanformer.methods.multitask import member_of
from leanformer.methods.registry import METHODS
from leanformer.tasks.encode import encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.predict import predict
from leanformer.tasks.words import IGNORED
from tiny import MAX_TOKENS, build_tagger


@pytest.fixture
def tagging(problem, tagged, tagged_rows, tiny_tokenizer):
    """The factory of `problem` with a tagger and its data."""
    data = load_data(DataSpec(str(tagged)))
    held_out = encode(data.validation, tiny_tokenizer, MAX_TOKENS, truncate=False)

    def make(name, **fields):
        case = problem(
            METHODS[name].granularities[0], teacher=build_tagger("bert", layers=3), folder=name, **fields
        )
        given = {"task": data.task, "train": tagged_rows.select(range(64)), "held_out": held_out}
        return replace(case, **given, options=METHODS[name].settings({}))

    return make


@pytest.mark.parametrize(
    "name",
    [
        "one-shot",
        "ae-bert",
        "drop-layers",
        "power-bert",
        "length-adaptive",
        pytest.param("uniform-magnitude", marks=pytest.mark.thorough),
        pytest.param("taylor-heads", marks=pytest.mark.thorough),
        pytest.param("accuracy-driven", marks=pytest.mark.thorough),
    ],
)
def test_what_is_left_answers_for_every_word(name, tagging):
    case = tagging(name)
    found = METHODS[name].run(case)
    labels = np.asarray(case.held_out["label"][:])
    logits = predict(found.model, case.held_out, case.tokenizer)
    assert logits.shape == (*labels.shape, 5)
    np.testing.assert_array_equal(np.isfinite(logits).all(axis=-1), labels != IGNORED)
    if name in ("power-bert", "length-adaptive"):
        assert EncoderView(found.model).kept_tokens(2) < 1


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("robust-tickets", BudgetError, "needs classes of texts"),
        ("multitask", BudgetError, "answers whole texts"),
        ("fastbert", ModelError, "answers for every token"),
        ("patience", ModelError, "answers for every token"),
    ],
)
def test_methods_that_need_one_answer_a_text_say_so(name, error, message, tagging):
    with pytest.raises(error, match=message):
        METHODS[name].run(tagging(name))


def test_tagging_is_no_further_task_of_several(problem, tagged):
    with pytest.raises(DataError, match="tagged asks for parts of them"):
        member_of(problem(), DataSpec(str(tagged)))
