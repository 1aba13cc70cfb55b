from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForMultipleChoice, AutoModelForSequenceClassification

from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import kept_indices
from leanformer.structure.masks import Masks, applied
from leanformer.structure.surgery import fold_gates, slice_units

MASKS: Masks = {(0, "head"): torch.tensor([0.0, 1, 1, 0]), (1, "neuron"): torch.tensor([1.0, 0] * 32)}
TOKENS = torch.arange(5, 15).view(2, 5)


def test_kept_indices_are_sorted_and_all_without_a_mask():
    assert kept_indices(MASKS, 0, "head", 4).tolist() == [1, 2]
    assert kept_indices(MASKS, 1, "head", 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({(0, "head"): torch.tensor([0.0, 0.5, 1, 1])}, "not made of 0 and 1"),
        ({(0, "query"): torch.zeros(32, 32)}, "make_permanent"),
        ({(0, "neuron"): torch.zeros(63)}, r"expected \(64,\)"),
    ],
)
def test_masks_that_can_not_be_sliced_are_refused(tiny_model, masks, message):
    with pytest.raises(ValueError, match=message):
        slice_units(tiny_model("bert"), masks)


def test_the_original_is_untouched_and_shares_nothing(tiny_model):
    model = tiny_model("bert")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = slice_units(model, MASKS)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.fill_(1.0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert EncoderView(model).heads(0) == 4


def test_state_dict_keys_and_task_head_are_those_of_the_dense_model(tiny_model):
    model = tiny_model("bert", num_labels=3)
    small = slice_units(model, MASKS)
    assert set(small.state_dict()) == set(model.state_dict())
    assert torch.equal(small.classifier.weight, model.classifier.weight)
    empty = slice_units(model, {(0, "head"): torch.zeros(4), (0, "neuron"): torch.zeros(64)})
    gone = set(model.state_dict()) - set(empty.state_dict())
    assert all(name.startswith("bert.encoder.layer.0.") for name in gone)
    assert "bert.encoder.layer.0.attention.output.dense.bias" in empty.state_dict()
    assert "bert.encoder.layer.0.output.dense.bias" in empty.state_dict()


def test_mode_and_frozen_parameters_are_kept(tiny_model):
    model = tiny_model("bert").train()
    model.bert.embeddings.requires_grad_(False)
    small = slice_units(model, MASKS)
    assert small.training
    frozen = {name for name, parameter in small.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in small.named_parameters() if ".embeddings." in name}


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_a_small_model_trains(tiny_model, family):
    small = slice_units(tiny_model(family), MASKS)
    small(input_ids=TOKENS, labels=torch.tensor([0, 1])).loss.backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


def test_tied_embeddings_stay_tied(tiny_model, tmp_path):
    model = AutoModelForMaskedLM.from_config(tiny_model("bert").config).eval()
    with applied(model, MASKS):
        masked = model(input_ids=TOKENS).logits
    small = slice_units(model, MASKS)
    assert small.get_output_embeddings().weight is small.get_input_embeddings().weight
    torch.testing.assert_close(small(input_ids=TOKENS).logits, masked, atol=1e-5, rtol=0)
    assert save_model(small, None, tmp_path) == "lean"
    reloaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    torch.testing.assert_close(reloaded(input_ids=TOKENS).logits, masked, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
def test_a_model_with_an_empty_layer_is_sliced_again(tiny_model, family):
    model = tiny_model(family)
    empty: Masks = {(0, "head"): torch.zeros(4), (0, "neuron"): torch.zeros(64)}
    rest: Masks = {(1, "head"): torch.tensor([0.0, 1, 0, 1])}
    with torch.no_grad(), applied(model, {**empty, **rest}):
        masked = model(input_ids=TOKENS).logits
    small = slice_units(slice_units(model, empty), rest)
    assert [EncoderView(small).heads(layer) for layer in (0, 1)] == [0, 2]
    torch.testing.assert_close(small(input_ids=TOKENS).logits, masked, atol=1e-5, rtol=0)


def test_an_unsupported_task_head_is_named(tiny_model):
    model = AutoModelForMultipleChoice.from_config(tiny_model("bert").config)
    with pytest.raises(ModelError, match="BertForMultipleChoice"):
        slice_units(model, MASKS)


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_a_small_model_exports_and_has_no_empty_matrix(tiny_model, family):
    model = tiny_model(family, layers=3)
    masks: Masks = {(1, "head"): torch.zeros(4), (1, "neuron"): torch.zeros(64), **MASKS}
    small = slice_units(model, masks)
    assert all(parameter.numel() for parameter in small.parameters())
    batch, tokens = torch.export.Dim("batch", max=8), torch.export.Dim("tokens", min=2, max=60)
    attention_mask = torch.ones_like(TOKENS)
    exported = torch.export.export(
        small,
        (),
        {"input_ids": TOKENS, "attention_mask": attention_mask},
        dynamic_shapes={"input_ids": {0: batch, 1: tokens}, "attention_mask": {0: batch, 1: tokens}},
        strict=False,
    )
    other = torch.arange(5, 26).view(3, 7)
    found = exported.module()(input_ids=other, attention_mask=torch.ones_like(other)).logits
    torch.testing.assert_close(found, small(input_ids=other).logits, atol=1e-5, rtol=0)


def test_regression_heads_keep_their_configuration(tiny_model, tmp_path):
    model = tiny_model("bert", num_labels=1)
    model.config.problem_type = "regression"
    small = slice_units(model, MASKS)
    assert (small.config.num_labels, small.config.problem_type) == (1, "regression")
    save_model(small, None, tmp_path)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).config.num_labels == 1


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "modernbert"])
def test_folded_gates_answer_as_gates_do(tiny_model, family):
    model = tiny_model(family).eval()
    gates: Masks = {(0, "head"): torch.tensor([0.0, 0.3, 1.0, 1.2]), (1, "neuron"): torch.linspace(0, 1, 64)}
    with applied(model, gates), torch.no_grad():
        expected = model(input_ids=TOKENS).logits
    fold_gates(model, gates)
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=TOKENS).logits, expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="not of 'query'"):
        fold_gates(model, {(0, "query"): torch.ones(32, 32)})
