"""How far a model is from its teacher."""

import copy

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.surgery import slice_units
from leanformer.training.damage import damage
from leanformer.training.teacher import LiveTeacher

LAYERS = (1, 2)


def masks(model, kept):
    view = EncoderView(model)
    return {
        (layer, "neuron"): (torch.arange(view.width(layer)) < kept).float() for layer in range(view.n_layers)
    }


@pytest.fixture
def measure(tiny_model, tiny_tokenizer, mood_train):
    teacher = tiny_model("bert")

    def run(model):
        return damage(model, tiny_tokenizer, mood_train, LiveTeacher(teacher, LAYERS), LAYERS)

    return run, teacher


def test_a_copy_has_none(measure):
    run, teacher = measure
    assert run(copy.deepcopy(teacher)) == pytest.approx(0.0, abs=1e-6)


def test_the_more_is_removed_the_more_is_missed(measure):
    run, teacher = measure
    whole = EncoderView(teacher).width(0)
    found = [run(slice_units(teacher, masks(teacher, kept))) for kept in (whole, whole // 2, 0)]
    assert found[0] == pytest.approx(0.0, abs=1e-6)
    assert found[0] < found[1] < found[2]


def test_the_model_is_left_in_eval_mode_without_gradients(measure):
    run, teacher = measure
    model = copy.deepcopy(teacher).train()
    run(model)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
