"""Fine-tuning learns, repeats itself, goes on after a kill as if nothing had happened, and keeps standard output."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from leanformer.errors import ModelError
from leanformer.progress import console, track
from leanformer.tasks.predict import predict
from leanformer.tasks.task import Task
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import fine_tune
from leanformer.training.objective import Objective
from leanformer.training.teacher import LiveTeacher

SHORT = TrainingConfig(learning_rate=3e-3, epochs=3, batch_size=16)  # 24 steps, a checkpoint every second


class Killed(Exception):
    pass


@pytest.fixture
def train(mood_train, mood_task, tiny_tokenizer, tmp_path):
    """The function train(model, config, folder="run", **options), on the tiny task."""

    def run(model, config: TrainingConfig = SHORT, folder: str = "run", **options):
        return fine_tune(
            model, tiny_tokenizer, mood_task, mood_train, config, tmp_path / folder, "Training", **options
        )

    return run


@pytest.fixture
def fresh(tiny_model):
    return lambda: tiny_model("bert", layers=1, hidden=16, width=32)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def assert_close(first, second) -> None:
    first, second = weights(first), weights(second)
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], atol=1e-5), name


def die_at(last_step: int):
    def on_step(step: int, total: int) -> None:
        if step == last_step:
            raise Killed

    return on_step


def test_it_learns(tiny_model, train, mood_held_out, tiny_tokenizer, capfd):
    model = tiny_model("bert", layers=1)
    labels = np.array(mood_held_out["label"])

    def accuracy() -> float:
        return float((predict(model, mood_held_out, tiny_tokenizer).argmax(axis=1) == labels).mean())

    before = accuracy()
    result = train(model, TrainingConfig(1e-2, epochs=6, batch_size=16, train_embeddings=True))
    assert before < 0.65
    assert accuracy() > 0.85
    assert (result.steps, result.epochs) == (48, 6.0)
    assert [step for step, _ in result.curve] == list(range(1, 49))
    assert np.mean([loss for _, loss in result.curve[-8:]]) < 0.5 * np.mean(
        [loss for _, loss in result.curve[:8]]
    )
    assert result.seconds > 0
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert capfd.readouterr().out == ""


def test_it_answers_as_from_its_file(fresh, train, monkeypatch):
    """Trained in mixed precision, where the machine has it or not, it is no longer in mixed precision."""
    monkeypatch.setattr("leanformer.training.trainer.has_fast_bfloat16", lambda: True)
    model, copied = fresh(), fresh()
    tokens = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(3))
    forwards = []
    train(model, on_step=lambda step, total: forwards.append(vars(model).get("forward")))
    assert any(forwards)
    copied.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(input_ids=tokens).logits, copied.eval()(input_ids=tokens).logits)


def test_same_seed_same_weights(fresh, train):
    models = [fresh() for _ in range(3)]
    for number, (model, seed) in enumerate(zip(models, (1, 1, 2), strict=True)):
        train(model, TrainingConfig(3e-3, epochs=1, batch_size=32, seed=seed), folder=str(number))
    assert_close(models[0], models[1])
    with pytest.raises(AssertionError):
        assert_close(models[0], models[2])


@pytest.mark.parametrize("step", [13, *(pytest.param(step, marks=pytest.mark.thorough) for step in (1, 23))])
def test_a_killed_training_ends_with_the_same_weights(fresh, train, step):
    whole, killed, resumed = fresh(), fresh(), fresh()
    expected = train(whole, folder="whole")
    with pytest.raises(Killed):
        train(killed, folder="killed", on_step=die_at(step))
    steps = []
    result = train(resumed, folder="killed", on_step=lambda step, total: steps.append(step))
    assert steps == list(range(step - 1 - (step - 1) % 2, 25))  # from the last checkpoint on
    assert_close(whole, resumed)
    assert np.allclose(result.curve, expected.curve, atol=1e-5)


def test_a_finished_training_is_not_repeated(fresh, train):
    first, second = fresh(), fresh()
    expected = train(first)
    steps = []
    result = train(second, on_step=lambda step, total: steps.append(step))
    assert_close(first, second)
    assert set(steps) == {24}
    assert result.curve == expected.curve


@pytest.mark.parametrize("train_embeddings", [False, True])
def test_frozen_embeddings_stay(fresh, train, train_embeddings):
    model = fresh()
    before = weights(model)
    train(model, TrainingConfig(3e-3, epochs=1, max_steps=3, train_embeddings=train_embeddings))
    same = {
        name: torch.equal(tensor, before[name])
        for name, tensor in weights(model).items()
        if tensor.is_floating_point()
    }
    assert same["bert.embeddings.word_embeddings.weight"] is not train_embeddings
    assert not same["bert.encoder.layer.0.output.dense.weight"]
    assert not same["classifier.weight"]


def test_steps_can_be_limited(fresh, train):
    result = train(fresh(), TrainingConfig(3e-3, epochs=5, batch_size=16, max_steps=4))
    assert (result.steps, result.epochs) == (4, 0.5)
    assert result.curve[-1][0] == 4


def test_scores_are_learnt(tiny_model, mood_train, tiny_tokenizer, tmp_path):
    scores = mood_train.remove_columns("label").add_column(
        "label", [3.0 * label for label in mood_train["label"]]
    )
    task = Task("mood", "regression", pair=False, labels=(), metric="pearson")
    model = tiny_model("bert", layers=1, num_labels=1)
    config = TrainingConfig(1e-2, epochs=6, batch_size=16, train_embeddings=True)
    result = fine_tune(model, tiny_tokenizer, task, scores, config, tmp_path, "Training")
    losses = [loss for _, loss in result.curve]
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])


def test_distillation_brings_the_student_to_the_teacher(fresh, train, mood_train, tiny_tokenizer):
    teacher, student = fresh(), fresh()
    with torch.no_grad():
        teacher.classifier.weight.mul_(10)
        student.classifier.weight.neg_()

    def distance() -> float:
        answers = [predict(model, mood_train, tiny_tokenizer) for model in (teacher, student)]
        return float(np.abs(answers[0] - answers[1]).mean())

    before = distance()
    objective = Objective(task=0.0, logits=1.0, hidden=1.0, hidden_layers=(1,))
    train(
        student,
        TrainingConfig(1e-2, 3, batch_size=16),
        objective=objective,
        teacher=LiveTeacher(teacher, (1,)),
    )
    assert distance() < 0.5 * before


def test_bars_of_a_failed_training_are_taken_down(fresh, train, monkeypatch, capfd):
    monkeypatch.setenv("LEANFORMER_QUIET", "0")
    console.cache_clear()
    with pytest.raises(Killed):
        train(fresh(), on_step=die_at(2))
    assert console()._live_stack == []
    for _ in track([1, 2], "Next stage"):
        assert len(console()._live_stack) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Training" in captured.err
    assert "Next stage" in captured.err
    console.cache_clear()


def test_a_training_inside_a_search_shows_both_bars(fresh, train, monkeypatch, capfd):
    monkeypatch.setenv("LEANFORMER_QUIET", "0")
    console.cache_clear()
    for _ in track([1], "Search"):
        train(fresh(), TrainingConfig(3e-3, epochs=1, max_steps=1))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Search" in captured.err
    assert "Training" in captured.err
    console.cache_clear()


def test_a_model_that_is_trained_twice_goes_on_learning(fresh, train):
    model = fresh()
    train(model, TrainingConfig(3e-3, epochs=1, batch_size=32), folder="first")
    before = copy.deepcopy(model)
    result = train(model, TrainingConfig(3e-3, epochs=1, batch_size=32), folder="second")
    assert math.isfinite(result.curve[-1][1])
    with pytest.raises(AssertionError):
        assert_close(model, before)


def test_weights_that_are_no_numbers_are_refused(fresh, train):
    model = fresh()
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="no numbers"):
        train(model)
