"""Probes are models of the family with the asked shapes, made ready for each runtime like real ones."""

import numpy as np
import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.export.cpu import cpu
from leanformer.measure.latency.probe import MOST_LAYERS, Workshop, subject_of
from leanformer.measure.latency.table import Setting, Shape
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES, build_config, build_model


@pytest.fixture(params=TINY_FAMILIES)
def workshop(request, tmp_path):
    return Workshop(build_config(request.param, layers=4), tmp_path, seed=0)


@pytest.mark.parametrize("shape", [Shape(4, 64, 3), Shape(0, 64, 3), Shape(3, 0, 2), Shape(0, 0, 1)])
def test_a_probe_has_the_asked_shape_and_answers(workshop, shape):
    runner = workshop.runner(shape, "torch", "fp32", 1)
    view = EncoderView(runner.model)
    assert [(view.heads(layer), view.width(layer)) for layer in range(view.n_layers)] == [
        (shape.heads, shape.width)
    ] * shape.layers
    answer = runner(workshop.batch(Setting("torch", "fp32", 3, 9, 1)))
    assert answer.shape == (3, 2)
    assert np.isfinite(answer).all()
    workshop.discard(shape)
    assert list(workshop.folder.iterdir()) == []


def test_a_batch_is_random_tokens_of_which_the_last_is_padding(workshop):
    batch = workshop.batch(Setting("torch", "fp32", 3, 9, 1))
    assert {array.shape for array in batch.values()} == {(3, 9)}
    assert batch["attention_mask"].sum() == 26
    assert batch["input_ids"][0].min() >= 5  # no special token
    assert workshop.batch(Setting("torch", "fp32", 1, 9, 1))["attention_mask"].all()
    again = workshop.batch(Setting("torch", "fp32", 3, 9, 1))
    assert (again["input_ids"] == batch["input_ids"]).all()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_probe_runs_where_models_are_exported_to(tmp_path, runtime, precision):
    workshop = Workshop(build_config("bert"), tmp_path, seed=0)
    shape, setting = Shape(2, 32, 1), Setting(runtime, precision, 2, 9, 1)
    runner = workshop.runner(shape, runtime, precision, 1)
    expected = workshop.runner(shape, "torch", "fp32", 1)(workshop.batch(setting))
    close = 1e-4 if precision == "fp32" else 0.1
    np.testing.assert_allclose(runner(workshop.batch(setting)), expected, atol=close)


def test_the_random_state_is_left_alone(workshop):
    before = torch.random.get_rng_state()
    workshop.model(Shape(1, 8, 1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_subject_is_the_dense_shape():
    config = build_config("distilbert", layers=4)
    subject = subject_of(config)
    assert (subject.cpu, subject.family, subject.hidden_size) == (cpu().name, "distilbert", 32)
    assert (subject.head_size, subject.heads, subject.width, subject.layers) == (8, 4, 64, 4)
    assert subject_of(build_config("bert", layers=24)).layers == MOST_LAYERS
    assert subject_of(build_config("bert", layers=1)).layers == 2  # one can not be told from the rest


def test_a_compressed_model_shares_its_dense_form_s_table(tmp_path):
    dense = build_model("bert")
    lean = slice_units(dense, {(0, "head"): torch.tensor([1.0, 0, 0, 1])})
    assert subject_of(lean.config) == subject_of(dense.config)
    probe = EncoderView(Workshop(lean.config, tmp_path, seed=0).model(Shape(3, 16, 5)))
    assert [(probe.heads(layer), probe.width(layer)) for layer in range(probe.n_layers)] == [(3, 16)] * 5


def test_other_architectures_are_refused():
    from transformers import GPT2Config

    with pytest.raises(ModelError, match="gpt2"):
        subject_of(GPT2Config())
