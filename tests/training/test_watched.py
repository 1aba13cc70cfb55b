"""GRAIN's gates: their scores are the paper's sums, what is closed stays closed, and heads empty together."""

from __future__ import annotations

import math

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import DIMENSIONS, QUERY_KEY, VALUE_OUTPUT
from leanformer.training.gates import gate_shapes, gates_in_force
from leanformer.training.straight_through import Ramp, TopOfAll
from leanformer.training.watched import Watched, WatchedGates

COSTS = {QUERY_KEY: 2.0, VALUE_OUTPUT: 2.0, "neuron": 2.0}
SIZE = 8  # of a head


@pytest.fixture
def model(tiny_model):
    return tiny_model("bert").eval()


def gates_of(model, removed=0.5, decay=0.0, density_scale=0.3):
    view = EncoderView(model)
    gates = {key: Watched(shape[0]) for key, shape in gate_shapes(view, (*DIMENSIONS, "neuron")).items()}
    heads = {layer: view.heads(layer) for layer in range(view.n_layers)}
    selection = TopOfAll(Ramp(0.0, 0.5, removed))
    return WatchedGates(gates, selection, COSTS, heads, decay, density_scale, refreshes=100)


def loss_of(model):
    tokens = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.cross_entropy(model(input_ids=tokens).logits, torch.tensor([0, 1, 0]))


def watched(model, gates):
    """Watch one batch, and go back through it as a training would."""
    with gates_in_force(model, gates):
        loss = loss_of(model)
        gates.watch(loss)
        loss.backward()
    return {key: gate.scores.clone() for key, gate in gates.each()}


def test_scores_are_the_sums_of_weight_times_gradient(model):
    scores = watched(model, gates_of(model))
    view = EncoderView(model)
    for layer in range(view.n_layers):
        query, key, _, out = view.linears(layer, "head")
        ffn_out = view.ffn_out(layer)
        whole = math.tanh(1 / 0.3)  # heads are full
        sums = {
            QUERY_KEY: (query.weight * query.weight.grad).sum(dim=1) + query.bias * query.bias.grad,
            VALUE_OUTPUT: whole * (out.weight * out.weight.grad).sum(dim=0),
            "neuron": (ffn_out.weight * ffn_out.weight.grad).sum(dim=0),
        }
        for kind, expected in sums.items():
            torch.testing.assert_close(scores[layer, kind], expected.detach().abs(), atol=1e-7, rtol=1e-3)
        # The keys' rows say the same but for their bias, which moves all scores of a query alike.
        of_keys = (key.weight * key.weight.grad).sum(dim=1) + key.bias * key.bias.grad
        torch.testing.assert_close(scores[layer, QUERY_KEY], of_keys.detach().abs(), atol=1e-6, rtol=1e-2)


def test_the_average_forgets_slowly(model):
    first = watched(model, gates_of(model, decay=0.0))
    slow = watched(model, gates_of(model, decay=0.75))
    for key, score in first.items():
        torch.testing.assert_close(slow[key], 0.25 * score)


def test_half_empty_heads_lose(model):
    gates = gates_of(model)
    keyed = dict(gates.each())
    keyed[0, VALUE_OUTPUT].mask[: SIZE // 2] = 0.0  # half of head 1
    half = watched(model, gates)[0, VALUE_OUTPUT]
    assert half[: SIZE // 2].eq(-torch.inf).all()
    loose = gates_of(model, density_scale=1e-6)  # no regularisation
    dict(loose.each())[0, VALUE_OUTPUT].mask[: SIZE // 2] = 0.0
    plain = watched(model, loose)[0, VALUE_OUTPUT]
    torch.testing.assert_close(half[SIZE // 2 : SIZE], plain[SIZE // 2 : SIZE] * math.tanh(0.5 / 0.3))
    torch.testing.assert_close(half[SIZE:], plain[SIZE:] * math.tanh(1 / 0.3))


def test_masks_only_shrink_to_the_share_that_is_asked_for(model):
    gates = gates_of(model, removed=0.6)
    before = gates.masks()
    for step in range(8):
        gates.advance(step / 10)
        watched(model, gates)
        with torch.no_grad():  # other scores each time: nothing may come back
            for _, gate in gates.each():
                gate.scores.copy_(torch.where(gate.mask > 0, torch.rand(len(gate.mask)), -torch.inf))
        after = {key: gate.mask.clone() for key, gate in gates.each()}
        assert all((after[key] <= mask).all() for key, mask in before.items())
        before = after
    kept = sum(float(mask.sum()) for mask in before.values())
    whole = sum(len(mask) for mask in before.values())
    assert 0.4 * whole <= kept < 0.4 * whole + 1


def test_queries_leave_with_the_values_of_their_head(model):
    gates = gates_of(model, removed=0.0)
    keyed = dict(gates.each())
    keyed[1, VALUE_OUTPUT].mask[:SIZE] = 0.0
    assert not gates.masks()[1, QUERY_KEY][:SIZE].any()
    assert gates.masks()[1, QUERY_KEY][SIZE:].all()
    gates.select(1.0)
    assert keyed[1, QUERY_KEY].scores[:SIZE].lt(-1e30).all()  # next to go at the next cut


def test_nothing_comes_back_when_a_head_empties_while_the_share_is_held(model):
    """What is next to close ranks above what is closed, though it comes first in the order of layers."""
    gates = gates_of(model, removed=0.5)
    for _, gate in gates.each():
        gate.scores.copy_(torch.rand(len(gate.scores), generator=torch.Generator().manual_seed(0)))
    gates.select(1.0)
    before = {key: gate.mask.clone() for key, gate in gates.each()}
    keyed = dict(gates.each())
    keyed[0, VALUE_OUTPUT].mask[:SIZE] = 0.0  # the first head of all has lost its values
    gates.select(1.0)
    assert all((gate.mask <= before[key]).all() for key, gate in keyed.items())


def test_gates_that_learn_nothing_have_no_group(model):
    assert gates_of(model).groups() == []
