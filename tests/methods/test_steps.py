"""Steps that methods share."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import steps
from leanformer.search.realise import Realiser
from leanformer.structure.importance import unit_magnitude, weight_magnitude
from leanformer.training.config import dense_rate
from leanformer.training.fake_quant import fake_quantised


def pruned(case) -> tuple[torch.nn.Module, dict]:
    view = EncoderView(case.teacher)
    space = steps.build_space(view, case)
    realiser = Realiser(case.teacher, space, steps.magnitude_scores(view, case.granularity))
    return realiser.build(space.uniform(), "none"), realiser.masks(space.uniform())


@pytest.mark.parametrize(("granularity", "groups"), [("unit", 4), ("weight", 12)])
def test_a_space_follows_the_granularity_and_the_budget(problem, granularity, groups):
    case = problem(granularity, 0.7)
    space = steps.build_space(EncoderView(case.teacher), case)
    assert len(space.groups) == groups
    assert space.pruning_ratio == 0.7


def test_an_unreachable_budget_is_refused(problem):
    case = problem("weight", 0.999)
    with pytest.raises(BudgetError, match=r"0\.999 can not be reached"):
        steps.build_space(EncoderView(case.teacher), case)


def test_magnitudes_follow_the_granularity(problem):
    view = EncoderView(problem().teacher)
    for granularity, scores in (("unit", unit_magnitude(view)), ("weight", weight_magnitude(view))):
        found = steps.magnitude_scores(view, granularity)
        assert found.keys() == scores.keys()
        assert all(torch.equal(found[key], score) for key, score in scores.items())


def test_recovery_reads_the_held_out_rows_last(problem):
    case = problem()
    rows = steps.all_training_rows(case)
    assert len(rows) == 64 + 48
    assert rows[:64]["text"] == case.train["text"][:]
    assert rows[64:]["text"] == case.held_out["text"][:]


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_recovery_brings_the_model_closer_and_keeps_what_was_removed(problem, granularity):
    case = problem(granularity)
    model, masks = pruned(case)
    before = EncoderView(model).encoder_parameters()
    found = steps.recovered(case, model, masks)
    losses = [entry["loss"] for entry in found.training["curve"]]
    assert found.training["damage"] > 0
    assert sum(losses[-3:]) < sum(losses[:3])
    view = EncoderView(found.model)
    assert view.encoder_parameters() == before
    if granularity == "weight":
        for (layer, kind), mask in masks.items():
            assert (view.matrices(layer)[kind][mask == 0] == 0).all()


def test_the_learning_rate_follows_the_damage_of_the_model_that_is_named(problem):
    case = problem("unit")
    model, masks = pruned(case)
    found = steps.recovered(case, model, masks, damaged=case.teacher)
    assert found.training["damage"] == pytest.approx(0.0, abs=1e-6)
    assert found.training["learning_rate"] == steps.recovery_config(case, 0.0).learning_rate
    assert found.training["learning_rate"] < steps.recovery_config(case, 1.0).learning_rate


def test_a_learning_rate_that_is_told_goes_before_the_damage(problem):
    case = problem("unit")
    found = steps.recovered(case, *pruned(case), rate=3.0)
    width = case.teacher.config.hidden_size
    assert found.training["learning_rate"] == pytest.approx(3.0 * dense_rate(width))
    assert "damage" not in found.training


def test_quantisation_aware_training_brings_int8_closer_to_the_teacher(problem):
    case = problem()
    model = deepcopy(case.teacher)
    with torch.no_grad():  # int8 hurts here: the largest weight of a row is far above its others
        for layer in EncoderView(model).layers:
            layer.output.dense.weight[:, 0] *= 30
    keys = list(model.state_dict())

    def lost(model) -> float:
        with fake_quantised(model):
            return steps.damage_of(case, model, *steps.distillation(case))

    before = lost(model)
    found = steps.quantisation_aware(case, model, {})
    assert found.training["damage"] == pytest.approx(before)
    assert found.model is model
    assert lost(model) < before
    assert list(model.state_dict()) == keys
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert not any("forward" in vars(linear) for linear in linears)
    assert sorted(path.name for path in Path(case.folder).iterdir()) == [
        "quantisation-aware",
        "teacher-outputs",
    ]


def test_the_teacher_does_not_teach_itself(problem):
    case = problem()
    with pytest.raises(ValueError, match="a copy of it"):
        steps.quantisation_aware(case, case.teacher, {})


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_a_short_training_keeps_what_was_removed_and_leaves_nothing(problem, granularity):
    case = problem(granularity)
    model, masks = pruned(case)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    steps.short_training(case)(model)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    if granularity == "weight":
        view = EncoderView(model)
        for (layer, kind), mask in masks.items():
            assert (view.matrices(layer)[kind][mask == 0] == 0).all()
    assert [path.name for path in Path(case.folder).iterdir()] == ["teacher-outputs"]


def test_the_teachers_outputs_can_be_shared(problem, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    steps.distillation(problem(folder="first", cache=cache))
    monkeypatch.setattr("leanformer.training.teacher.remember", None)
    steps.distillation(problem(folder="second", cache=cache))
    assert (cache / "logits.npy").is_file()
    assert not (tmp_path / "second" / "teacher-outputs").exists()
