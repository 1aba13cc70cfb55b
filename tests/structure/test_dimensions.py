"""The first law for dimensions of heads: masked == sliced == reloaded == the first-token form, for every family."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from same_answers import TOLERANCE, batch, logits, run_door
from transformers import AutoModelForSequenceClassification

from dimensions import cases_of, dimension_masks, ragged
from leanformer.encoders.first_token import first_token_only
from leanformer.encoders.saving import plain_width, save_model
from leanformer.encoders.view import EncoderView
from leanformer.structure.activations import second_moments
from leanformer.structure.depth import keep_layers
from leanformer.structure.gradients import gate_gradients
from leanformer.structure.hard_attention import hardened, with_hard_attention
from leanformer.structure.importance import removal_orders, unit_magnitude
from leanformer.structure.kept import settled
from leanformer.structure.masks import DIMENSIONS, GATED, QUERY_KEY, VALUE_OUTPUT, applied, gated
from leanformer.structure.repair import repair_units
from leanformer.structure.surgery import fold_gates, slice_units
from tiny import TINY_FAMILIES

EVERY = [
    (family, attention, case)
    for family in TINY_FAMILIES
    for attention in (("eager",) if family == "mpnet" else ("eager", "sdpa"))
    for case in cases_of(family)
]


@pytest.mark.parametrize(("family", "attention", "case"), EVERY)
def test_masked_is_sliced_is_reloaded_is_first_token(tiny_model, family, attention, case, tmp_path):
    model = tiny_model(family, layers=3)
    model.set_attn_implementation(attention)
    masks = dimension_masks(EncoderView(model), case)
    dense = logits(model)
    with applied(model, masks):
        masked = logits(model)
    assert torch.equal(logits(model), dense)
    for key in masks:
        with applied(model, {key: masks[key]}):
            assert (logits(model) - dense).abs().max() > 1e-4, key

    small = slice_units(model, masks)
    torch.testing.assert_close(logits(small), masked, atol=TOLERANCE, rtol=0)
    assert EncoderView(small).encoder_parameters() < EncoderView(model).encoder_parameters()
    assert plain_width(small) is None
    assert save_model(small, None, tmp_path) == "lean"
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation=attention)
    torch.testing.assert_close(logits(reloaded), masked, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(logits(first_token_only(reloaded)), masked, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_sizes_and_matrices(tiny_model, family):
    model = tiny_model(family)
    small = EncoderView(slice_units(model, dimension_masks(EncoderView(model), "with units")))
    query_key = 8 if family == "modernbert" else 5
    assert (small.heads(0), small.query_key_size(0), small.value_size(0)) == (3, query_key, 3)
    assert {name: tuple(matrix.shape) for name, matrix in small.matrices(0).items()} == {
        "query": (3 * query_key, 32),
        "key": (3 * query_key, 32),
        "value": (9, 32),
        "attention_out": (32, 9),
        "ffn_in": (128 if family == "modernbert" else 64, 32),
        "ffn_out": (32, 64),
    }
    assert small.head_weights(0).shape == (3, 2 * (query_key + 3) * 32)
    assert (small.heads(1), small.value_size(1), small.head_size) == (4, 6, 8)


@pytest.mark.parametrize(("multiple", "sizes"), [(1, (5, 6)), (4, (8, 8)), (3, (6, 6)), (16, (8, 8))])
def test_sizes_are_rounded_up_to_a_multiple_and_stay_exact(tiny_model, multiple, sizes):
    model = tiny_model("bert")
    masks = dimension_masks(EncoderView(model), "both")
    with applied(model, masks):
        masked = logits(model)
    small = slice_units(model, masks, multiple)
    view = EncoderView(small)
    assert (view.query_key_size(0), view.value_size(0)) == sizes
    torch.testing.assert_close(logits(small), masked, atol=TOLERANCE, rtol=0)
    with pytest.raises(ValueError, match="multiple of 0"):
        slice_units(model, masks, 0)


def test_heads_that_keep_all_dimensions_are_stock(tiny_model):
    model = tiny_model("bert")
    ones = {(0, kind): torch.ones(32) for kind in DIMENSIONS}
    assert plain_width(slice_units(model, ones)) == 64
    small = slice_units(model, {**ones, (1, "head"): torch.tensor([1.0, 0, 1, 1])})
    assert not hasattr(small.config.per_layer_config[0], "value_size")


def test_a_head_without_values_is_gone_and_one_without_queries_stays(tiny_model):
    view = EncoderView(tiny_model("bert"))
    masks = {
        (0, VALUE_OUTPUT): ragged(view, 0, VALUE_OUTPUT, [0, 3, 8, 8]),
        (0, QUERY_KEY): ragged(view, 0, QUERY_KEY, [8, 8, 0, 2]),
        (0, "head"): torch.tensor([1.0, 1, 1, 0]),
    }
    found = settled(view, masks)
    assert found[0, "head"].tolist() == [0, 1, 1, 0]
    assert found[0, QUERY_KEY].view(4, 8).sum(dim=1).tolist() == [0, 8, 0, 0]
    assert found[0, VALUE_OUTPUT].view(4, 8).sum(dim=1).tolist() == [0, 3, 8, 0]
    assert EncoderView(slice_units(view.model, masks)).heads(0) == 2


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "modernbert"])
def test_what_was_sliced_is_sliced_again(tiny_model, family):
    small = slice_units(tiny_model(family), dimension_masks(EncoderView(tiny_model(family)), "with units"))
    view = EncoderView(small)
    masks = {
        (0, VALUE_OUTPUT): ragged(view, 0, VALUE_OUTPUT, [2, 1, 3]),
        (0, "neuron"): (torch.arange(view.width(0)) % 2).float(),
        (1, "head"): torch.tensor([0.0, 1, 1, 1]),
        (1, VALUE_OUTPUT): ragged(view, 1, VALUE_OUTPUT, [6, 2, 2, 1]),
    }
    if family != "modernbert":
        masks[0, QUERY_KEY] = ragged(view, 0, QUERY_KEY, [1, 3, 2])
    with applied(small, masks):
        masked = logits(small)
    assert (masked - logits(small)).abs().max() > 1e-3
    torch.testing.assert_close(logits(slice_units(small, masks)), masked, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "modernbert"])
def test_padding_stays_zero_while_training(tiny_model, family):
    model = tiny_model(family)
    small = slice_units(model, dimension_masks(EncoderView(model), "both")).train()
    small(**batch(), labels=torch.tensor([0, 1])).loss.backward()
    padding = 0
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None, name
        zeros = (parameter == 0) & (parameter.ndim > 1)
        zeros &= "embed" not in name
        assert not parameter.grad[zeros].any(), name
        padding += int(zeros.sum())
    assert padding > 0


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
@pytest.mark.parametrize("kind", DIMENSIONS)
def test_gates_may_be_functions_and_have_gradients(tiny_model, family, kind):
    model = tiny_model(family)
    view = EncoderView(model)
    if (family, kind) == ("modernbert", QUERY_KEY):
        with pytest.raises(ValueError, match="turn in pairs"), applied(model, {(0, kind): torch.ones(32)}):
            pass
        return
    gate = torch.ones(32, requires_grad=True)
    with gated(view, {(0, kind): lambda: gate}):
        model(**batch()).logits.sum().backward()
    weight = view.matrices(0)["query" if kind == QUERY_KEY else "attention_out"]
    parameter = {p.data_ptr(): p for p in model.parameters()}[weight.data_ptr()]
    product = parameter * parameter.grad  # what GRAIN scores dimensions by
    expected = product.sum(dim=1) if kind == QUERY_KEY else product.sum(dim=0)
    if kind == QUERY_KEY:
        bias = view.query(0).bias
        expected = expected + bias * bias.grad
    torch.testing.assert_close(gate.grad, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "modernbert"])
def test_folded_gates_answer_as_gates_do(tiny_model, family):
    model = tiny_model(family)
    gates = {(0, VALUE_OUTPUT): torch.linspace(0, 1.2, 32)}
    if family != "modernbert":
        gates[1, QUERY_KEY] = torch.linspace(0.1, 1.1, 32)
    with applied(model, gates):
        expected = logits(model)
    fold_gates(model, gates)
    torch.testing.assert_close(logits(model), expected, atol=TOLERANCE, rtol=0)


def test_other_ways_to_change_a_model_keep_its_sizes(tiny_model):
    model = tiny_model("bert", layers=3)
    small = slice_units(model, dimension_masks(EncoderView(model), "all kinds of heads"))
    kept = keep_layers(small, [0, 1])
    view = EncoderView(kept)
    assert [(view.heads(n), view.query_key_size(n), view.value_size(n)) for n in (0, 1)] == [
        (3, 4, 6),
        (4, 8, 8),
    ]
    with hardened(small, [0, 2], 3):
        expected = logits(small)
    hard = with_hard_attention(small, [0, 2], 3)
    assert (expected - logits(small)).abs().max() > 1e-4
    torch.testing.assert_close(logits(hard), expected, atol=TOLERANCE, rtol=0)


def test_scores_of_what_is_left(tiny_model):
    model = tiny_model("bert")
    small = slice_units(model, dimension_masks(EncoderView(model), "all kinds of heads"))
    view = EncoderView(small)
    moments = second_moments(small, [batch()], seed=0)
    assert len(removal_orders(view, moments)[0, "head"].order) == 3
    assert unit_magnitude(view)[0, "head"].shape == (3,)
    gradients = gate_gradients(small, [{**batch(), "labels": torch.tensor([0, 1])}], row_losses, GATED)
    assert {kind: tuple(gradients[0, kind].shape) for kind in DIMENSIONS} == {
        QUERY_KEY: (2, 3 * 4),
        VALUE_OUTPUT: (2, 3 * 6),
    }
    ones = {(0, "head"): torch.tensor([1.0, 0, 1])}
    smaller = slice_units(small, ones)
    repair_units(view, EncoderView(smaller), ones, moments)
    with pytest.raises(ValueError, match="not of heads' dimensions"):
        repair_units(view, view, {(0, VALUE_OUTPUT): torch.ones(18)}, moments)


def row_losses(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def test_attention_weights_are_still_shown(tiny_model):
    model = tiny_model("bert")
    model.set_attn_implementation("eager")
    masks = dimension_masks(EncoderView(model), "no queries")
    with torch.no_grad(), applied(model, masks):
        expected = model(**batch(), output_attentions=True).attentions
    with torch.no_grad():
        found = slice_units(model, masks)(**batch(), output_attentions=True).attentions
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.thorough
def test_two_doors_in_fresh_processes(tiny_model, tiny_tokenizer, tmp_path):
    for family in TINY_FAMILIES:
        model = tiny_model(family, layers=3)
        folder = tmp_path / f"lean-{family}"
        small = slice_units(model, dimension_masks(EncoderView(model), "with units"))
        save_model(small, tiny_tokenizer, folder)
        (folder / "expected").mkdir()
        save_file({**batch(), "logits": logits(small)}, folder / "expected" / "batch.safetensors")
    for origin, blocked in (("transformers_modules", True), ("leanformer", False)):
        results = run_door(tmp_path, "lean-*", blocked=blocked, trust=blocked)
        assert len(results) == len(TINY_FAMILIES)
        for name, (worst, answer, found_origin) in results.items():
            assert (worst < TOLERANCE, answer < TOLERANCE, found_origin) == (True, True, origin), name
