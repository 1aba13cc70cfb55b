"""What a level is judged by, and which one is chosen."""

import numpy as np
import pytest

from leanformer.audit.models import load_asked
from leanformer.audit.read import SuiteData
from leanformer.audit.words import TESTS
from leanformer.debias import judging
from leanformer.debias.judging import Judge, change_facts, own_effects, public_effects
from leanformer.debias.movement import choice
from leanformer.tasks.predict import evaluate
from tiny import build_embedder


def level(lost, effect):
    return {"judged": {"drop_points": lost}, "own": {"value": effect}}


@pytest.mark.parametrize(
    ("levels", "chosen"),
    [
        ([level(0.2, 0.9), level(0.9, 0.5), level(3.0, 0.1)], (1, True)),
        ([level(0.2, 0.4), level(0.9, 0.5)], (0, True)),
        ([level(1.5, 0.4), level(1.2, 0.5)], (1, False)),
        ([level(-0.5, 0.8)], (0, True)),
    ],
)
def test_the_smallest_effect_within_the_bound_is_chosen(levels, chosen):
    assert choice(levels, 1.0) == chosen


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(judging, "TESTS", TESTS[2:])


def test_the_mean_has_no_sign_and_its_interval_is_resampled(headless_model, few):
    found = own_effects(headless_model)
    assert found.mean.value == pytest.approx(np.mean([abs(one.value) for one in found.figures]))
    assert found.mean.low <= found.mean.value <= found.mean.high
    assert len(found.facts()["tests"]) == 1
    same = change_facts(found, found)
    assert (same["value"], same["share"], same["beyond"]) == (0.0, 0.0, False)


@pytest.fixture
def headless_model(tiny_model_folder):
    return load_asked(str(tiny_model_folder))


def test_seat_is_measured_where_all_three_tests_are_there(headless_model):
    four = (["the film", "a film"], ["the dog", "a dog"], ["he is", "a man"], ["she is", "a woman"])
    tests = {f"sent-weat{number}": four for number in (6, 7, 8)}
    found = public_effects(headless_model, SuiteData(tests, [], [], [], {}))
    assert [one.subject for one in found.figures] == ["sent-weat6", "sent-weat7", "sent-weat8"]
    assert public_effects(headless_model, SuiteData({"sent-weat6": four}, [], [], [], {})) is None
    assert public_effects(headless_model, None) is None


def test_a_judge_scores_beside_the_dense_model(tiny_model, tiny_tokenizer, mood_task, mood_held_out):
    dense, other = tiny_model("bert"), tiny_model("bert", layers=1)
    judge = Judge.of(dense, tiny_tokenizer, mood_task, mood_held_out, seed=0)
    assert judge.score()["score"] == evaluate(dense, tiny_tokenizer, mood_held_out, mood_task).value
    assert "drop_points" not in judge.score()
    found = judge.score(other)
    assert found["drop_points"] == pytest.approx(100 * (judge.score()["score"] - found["score"]))
    assert judge.score(dense)["drop_interval"] == [0.0, 0.0]


def test_sentence_embeddings_are_asked_without_their_pooling(tiny_tokenizer, few):
    model = build_embedder("bert")
    bare = judging.as_asked(model, tiny_tokenizer).model
    assert type(bare).__name__ == "BertModel"
    shared = [one.embeddings.word_embeddings.weight.data_ptr() for one in (bare, model)]
    assert shared[0] == shared[1]
    assert own_effects(judging.as_asked(model, tiny_tokenizer)).mean.n > 0
