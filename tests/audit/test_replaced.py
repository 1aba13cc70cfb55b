"""Matrices replaced one at a time: of the same norm, seen behind themselves, and put back."""

import pytest
import torch
from test_positions import seen

from leanformer.audit.positions import ATTENTION, CONTEXT, EMBEDDING, FFN_OUT, KEY, QUERY, VALUE, recorded
from leanformer.audit.replaced import BEHIND, IDENTITY, ORTHOGONAL, places_of, replacements, with_each
from leanformer.encoders.first_token import sharing_copy
from leanformer.encoders.view import EncoderView
from leanformer.structure.surgery import slice_units


def replaced(asked):
    """By layer, matrix and what stands for it: the states at its places."""
    view = EncoderView(asked.model)
    model = sharing_copy(asked.model.base_model).eval()
    model.config._attn_implementation = "eager"
    texts = asked.tokenizer(["the nurse said he was good"], return_tensors="pt")
    with torch.no_grad(), recorded(model, view) as found:
        model(**texts, output_attentions=True)
        plain = dict(found.states)
        every = {one[:3]: (one, states) for one, states in with_each(model, view, found, replacements(view))}
    return plain, every


def test_each_matrix_is_replaced_twice_by_one_of_its_norm(masked):
    view = EncoderView(masked.model)
    every = replacements(view)
    assert {one[:3] for one in every} == {
        (layer, matrix, by) for layer in (0, 1) for matrix in BEHIND for by in (IDENTITY, ORTHOGONAL)
    }
    paths = {getattr(view.family, name): name for name in view.matrices(0)}
    for one in every:
        for path, weight in one.weights.items():
            own = view.matrices(one.layer)[paths[path]]
            assert weight.shape == own.shape
            assert weight.norm() == pytest.approx(float(own.norm()), rel=1e-5)
            small = weight if weight.shape[0] <= weight.shape[1] else weight.T
            gram = small @ small.T
            assert torch.allclose(gram, gram.diagonal().mean() * torch.eye(len(gram)), atol=1e-3)
            if one.by == IDENTITY:
                assert torch.equal(weight, torch.diag_embed(weight.diagonal(), 0)[: len(weight)]) or (
                    torch.count_nonzero(weight) == min(weight.shape)
                )
    other = {one[:3]: one for one in replacements(view, seed=1)}
    first = every[1]
    assert first.by == ORTHOGONAL
    path = next(iter(first.weights))
    assert not torch.equal(first.weights[path], other[first[:3]].weights[path])


def test_a_replaced_matrix_changes_what_is_behind_it_and_nothing_before(masked):
    before = {name: tensor.clone() for name, tensor in masked.model.state_dict().items()}
    plain, every = replaced(masked)
    for one, states in every.values():
        assert set(states) == set(places_of(one)) == {(one.layer, BEHIND[one.matrix]), (one.layer, FFN_OUT)}
        for place, changed in states.items():
            assert (changed - plain[place]).abs().max() > 1e-5
    for name, tensor in masked.model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_identity_in_place_of_both_compares_the_states_themselves(masked):
    plain, every = replaced(masked)
    view = EncoderView(masked.model)
    _, states = every[1, "query and key", IDENTITY]
    entered = plain[0, FFN_OUT]
    query, key, *_ = view.linears(1, "head")
    parts = []
    for linear in (query, key):
        scale = linear.weight.norm() / len(entered[0, 0]) ** 0.5
        projected = scale * entered + linear.bias
        parts.append(projected.view(*entered.shape[:2], 4, -1).transpose(1, 2))
    scores = parts[0] @ parts[1].transpose(2, 3) / parts[0].shape[-1] ** 0.5
    assert torch.allclose(states[1, ATTENTION], scores.softmax(dim=-1), atol=1e-5)


def test_heads_that_are_gone_and_products_have_fewer_places(masked):
    masks = {(0, "head"): torch.zeros(4), (1, "head"): torch.tensor([1.0, 0.0, 1.0, 0.0])}
    small = masked._replace(model=slice_units(masked.model, masks))
    found, *_ = seen(small)
    assert {name for layer, name in found.states if layer == 0} == {"attention output", FFN_OUT}
    assert found.states[1, QUERY].shape[-1] == found.states[1, KEY].shape[-1] == 16
    assert found.states[1, CONTEXT].shape == found.states[1, VALUE].shape
    assert (-1, EMBEDDING) in found.states
    matrices = {(one.layer, one.matrix) for one in replacements(EncoderView(small.model))}
    assert matrices == {(0, "ffn_in"), (0, "ffn_out"), *((1, matrix) for matrix in BEHIND)}
    _, every = replaced(small)
    assert len(every) == 2 * len(matrices)
