from __future__ import annotations

import numpy as np
import pytest
import torch

from leanformer.errors import ModelError
from leanformer.tasks.encode import encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.predict import evaluate, predict, score_logits
from leanformer.tasks.task import Task
from tiny import MAX_TOKENS, TINY_FAMILIES

BINARY = Task("binary", "classification", False, ("a", "b"), "accuracy", ("f1", "matthews"))


@pytest.fixture
def encoded(tiny_task, tiny_tokenizer):
    return encode(load_data(DataSpec(str(tiny_task))).validation, tiny_tokenizer, MAX_TOKENS, truncate=False)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_logits_come_in_the_order_of_the_data(family, tiny_model, tiny_tokenizer, encoded):
    model = tiny_model(family)
    logits = predict(model, encoded, tiny_tokenizer, batch_size=7)
    assert logits.shape == (60, 2)
    assert logits.dtype == np.float32
    with torch.no_grad():
        for index in (0, 17, 59):
            alone = model(**tiny_tokenizer(encoded[index]["text"], return_tensors="pt")).logits[0]
            np.testing.assert_allclose(logits[index], alone.numpy(), atol=1e-5)


def test_dropout_is_off_and_the_training_flag_comes_back(tiny_model, tiny_tokenizer, encoded):
    model = tiny_model("bert").train()
    first = predict(model, encoded, tiny_tokenizer)
    assert model.training
    np.testing.assert_array_equal(first, predict(model, encoded, tiny_tokenizer, stage="again"))


def test_the_training_flag_comes_back_after_an_error(tiny_model, tiny_tokenizer, encoded, monkeypatch):
    model = tiny_model("bert").train()
    monkeypatch.setattr(model, "forward", lambda **inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(model, encoded, tiny_tokenizer)
    assert model.training


def test_half_precision_models_give_float32(tiny_model, tiny_tokenizer, encoded):
    assert predict(tiny_model("bert").bfloat16(), encoded, tiny_tokenizer).dtype == np.float32


def test_evaluate_is_score_of_predict(tiny_model, tiny_tokenizer, encoded):
    model = tiny_model("bert")
    result = evaluate(model, tiny_tokenizer, encoded, BINARY)
    logits = predict(model, encoded, tiny_tokenizer)
    assert result == score_logits(logits, np.asarray(encoded["label"][:]), BINARY)
    assert result.value == pytest.approx((logits.argmax(axis=1) == encoded["label"][:]).mean())
    assert set(result.extra) == {"f1", "matthews"}


def test_the_interval_is_about_that_of_a_binomial():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    answers = np.where(generator.random(400) < 0.8, labels, 1 - labels)
    result = score_logits(np.eye(2)[answers], labels, BINARY)
    half_width = 1.96 * np.sqrt(result.value * (1 - result.value) / 400)
    assert result.n == 400
    assert result.low == pytest.approx(result.value - half_width, abs=0.01)
    assert result.high == pytest.approx(result.value + half_width, abs=0.01)
    assert result == score_logits(np.eye(2)[answers], labels, BINARY)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_have_no_score(value):
    logits = np.eye(2)[[0, 1, 1]]
    logits[1, 0] = value
    with pytest.raises(ModelError, match="1 of 3 rows"):
        score_logits(logits, np.array([0, 1, 1]), BINARY)


def test_regression_score():
    values = np.linspace(0, 5, 30)
    result = score_logits(
        values[:, None] ** 3, values, Task("r", "regression", True, (), "spearman", ("pearson",))
    )
    assert (result.value, result.low, result.high) == pytest.approx((1.0, 1.0, 1.0))
    assert 0.8 < result.extra["pearson"] < 1.0
