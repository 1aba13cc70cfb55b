from __future__ import annotations

import pytest
import torch
import transformers

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.structure.surgery import slice_units

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "modernbert")
HIDDEN, HEADS, WIDTH, HEAD_SIZE = 32, 4, 64, 8


@pytest.fixture(params=FAMILIES)
def view(tiny_model, request) -> EncoderView:
    return EncoderView(tiny_model(request.param))


def test_sizes(view):
    assert (view.n_layers, view.hidden_size, view.head_size) == (2, HIDDEN, HEAD_SIZE)
    assert (view.dense_heads, view.dense_width) == (HEADS, WIDTH)
    assert [view.heads(layer) for layer in (0, 1)] == [HEADS, HEADS]
    assert [view.width(layer) for layer in (0, 1)] == [WIDTH, WIDTH]
    assert view.layers[0] in set(view.encoder().modules())


def test_matrices_are_views_that_cover_all_large_weights(view):
    expected = {
        "query": (HIDDEN, HIDDEN),
        "key": (HIDDEN, HIDDEN),
        "value": (HIDDEN, HIDDEN),
        "attention_out": (HIDDEN, HIDDEN),
        "ffn_in": (WIDTH * (2 if view.family.gated else 1), HIDDEN),
        "ffn_out": (HIDDEN, WIDTH),
    }
    assert tuple(expected) == MATRICES
    for matrix in view.matrices(1).values():
        matrix.fill_(7.0)
    assert {name: tuple(matrix.shape) for name, matrix in view.matrices(1).items()} == expected
    large = [parameter for parameter in view.layers[1].parameters() if parameter.ndim == 2]
    assert all((parameter == 7.0).all() for parameter in large)
    assert view.prunable_weights() == 2 * sum(parameter.numel() for parameter in large)


def test_head_weights_are_all_weights_of_a_head(view):
    for name, matrix in view.matrices(0).items():
        matrix.zero_()
        if name in ("query", "key", "value"):
            matrix[2 * HEAD_SIZE : 3 * HEAD_SIZE] = 1.0
    view.matrices(0)["attention_out"][:, 2 * HEAD_SIZE : 3 * HEAD_SIZE] = 1.0
    weights = view.head_weights(0)
    assert weights.shape == (HEADS, 4 * HEAD_SIZE * HIDDEN)
    assert weights.sum(dim=1).tolist() == [0, 0, 4 * HEAD_SIZE * HIDDEN, 0]


def test_neuron_weights_are_all_weights_of_a_neuron(view):
    matrices, halves = view.matrices(0), 2 if view.family.gated else 1
    matrices["ffn_in"].zero_()
    matrices["ffn_out"].zero_()
    for half in range(halves):
        matrices["ffn_in"][half * WIDTH + 5] = 1.0
    matrices["ffn_out"][:, 5] = 1.0
    weights = view.neuron_weights(0)
    assert weights.shape == (WIDTH, (halves + 1) * HIDDEN)
    assert weights.sum(dim=1).nonzero().flatten().tolist() == [5]
    assert weights[5].min() == 1.0


def test_encoder_parameters_leave_out_embeddings_and_head(view):
    outside = sum(
        p.numel() for name, p in view.model.named_parameters() if f"{view.family.layers}." not in name
    )
    assert view.encoder_parameters() == sum(p.numel() for p in view.model.parameters()) - outside
    assert outside > 0


def test_gate_sites_see_context_and_activation(view):
    seen = {}
    sites = {"head": view.attention_out(1), "neuron": view.ffn_out(1)}
    for kind, linear in sites.items():
        linear.register_forward_pre_hook(
            lambda module, inputs, kind=kind: seen.update({kind: inputs[0].shape})
        )
    view.model(input_ids=torch.arange(5, 15).view(2, 5))
    assert seen == {"head": (2, 5, HIDDEN), "neuron": (2, 5, WIDTH)}


def test_an_empty_layer(view):
    masks = {(0, "head"): torch.zeros(HEADS), (0, "neuron"): torch.zeros(WIDTH)}
    small = EncoderView(slice_units(view.model, masks))
    assert (small.heads(0), small.width(0)) == (0, 0)
    assert (small.dense_heads, small.dense_width, small.head_size) == (HEADS, WIDTH, HEAD_SIZE)
    assert small.attention_out(0) is None
    assert small.ffn_out(0) is None
    assert small.matrices(0) == {}
    assert small.head_weights(0).shape == (0, view.head_weights(0).shape[1])
    assert small.neuron_weights(0).shape == (0, view.neuron_weights(0).shape[1])
    for kind in ("head", "neuron"):
        before, after = view.output_bias(0, kind), small.output_bias(0, kind)
        assert (before is None and after is None) if view.family.gated else torch.equal(before, after)


@pytest.mark.parametrize("auto", ["AutoModel", "AutoModelForMaskedLM", "AutoModelForTokenClassification"])
@pytest.mark.parametrize("family", FAMILIES)
def test_other_heads_and_none(tiny_model, family, auto):
    model = getattr(transformers, auto).from_config(tiny_model(family).config)
    assert [EncoderView(model).heads(layer) for layer in (0, 1)] == [HEADS, HEADS]
