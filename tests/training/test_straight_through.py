"""Gates with scores: what they select, to the last unit, and where their gradient goes."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import applied
from leanformer.training.gates import gates_in_force
from leanformer.training.straight_through import (
    AboveThreshold,
    Ramp,
    SelectedGates,
    StraightThrough,
    TopOfAll,
    TopOfEach,
    top,
)
from tiny import tiny_logits as logits

AT_ONCE = 0.0, 0.001


def scores(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {(layer, "head"): torch.randn(shape, generator=generator) for layer, shape in enumerate(shapes)}


def test_the_corners_of_the_ramp():
    ramp = Ramp(0.2, 0.6, 0.8)
    assert [ramp.at(share) for share in (0.0, 0.2, 0.6, 1.0)] == pytest.approx([0.0, 0.0, 0.8, 0.8])
    assert ramp.at(0.4) == pytest.approx(0.8 - 0.8 * 0.5**3)


@pytest.mark.parametrize("kept", [0, 1, 5, 12])
def test_top_keeps_exactly_so_many(kept):
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    mask = top(values, kept)
    assert int(mask.sum()) == kept
    if 0 < kept < 12:
        assert values[mask > 0].min() > values[mask == 0].max()
    assert int(top(torch.zeros(12), kept).sum()) == kept  # of equal ones, too


def test_each_group_keeps_its_share():
    given = scores((10,), (4, 5))
    costs = {key: torch.ones_like(score) for key, score in given.items()}
    masks = TopOfEach(Ramp(*AT_ONCE, 0.35))(given, costs, 1.0)
    assert [int(mask.sum()) for mask in masks.values()] == [7, 13]  # 6.5 of 10 would be too few
    assert all(mask.all() for mask in TopOfEach(Ramp(0.5, 0.6, 0.9))(given, costs, 0.4).values())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.9, 1.0])
def test_one_cut_meets_the_share_of_the_cost_within_one_unit(share):
    given = {(0, "head"): scores((8,))[0, "head"], (0, "neuron"): scores((40,), seed=1)[0, "head"]}
    costs = {(0, "head"): torch.full((8,), 12.0), (0, "neuron"): torch.ones(40)}
    masks = TopOfAll(Ramp(*AT_ONCE, share))(given, costs, 1.0)
    removed = sum(float(((1 - mask) * costs[key]).sum()) for key, mask in masks.items())
    whole = 8 * 12.0 + 40
    assert share * whole - 12 < removed <= share * whole + 1e-6
    lowest_kept = (
        min(float(given[key][mask > 0].min()) for key, mask in masks.items() if mask.any())
        if share < 1
        else 0
    )
    highest_gone = max(
        (float(given[key][mask == 0].max()) for key, mask in masks.items() if not mask.all()), default=-9.0
    )
    assert share in (0.0, 1.0) or highest_gone < lowest_kept


def test_a_threshold_on_sigmoids():
    given = {(0, "head"): torch.tensor([-3.0, -2.0, 0.0])}  # 0.047, 0.119, 0.5
    assert AboveThreshold(Ramp(*AT_ONCE, 0.1))(given, given, 1.0)[0, "head"].tolist() == [0, 1, 1]
    assert AboveThreshold(Ramp(0.1, 0.5, 0.1))(given, given, 0.0)[0, "head"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("block", [(1, 1), (2, 3), (4, 4)])
def test_the_gradient_of_a_block_is_the_sum_of_weight_times_gradient(block):
    """dL/dS = sum over the block of dL/dW' * W, closed blocks included."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 7, generator=generator)
    gate = StraightThrough((6, 7), block)
    with torch.no_grad():
        gate.mask.copy_((torch.rand(gate.mask.shape, generator=generator) > 0.5).float())
    masked = weight * gate()
    masked.retain_grad()
    (masked.sin() @ torch.randn(7, generator=generator)).sum().backward()
    products = masked.grad * weight
    expected = torch.zeros_like(gate.scores)
    for row in range(6):
        for column in range(7):
            expected[row // block[0], column // block[1]] += products[row, column]
    torch.testing.assert_close(gate.scores.grad, expected)
    assert set(gate().detach().unique().tolist()) <= {0.0, 1.0}


def test_gates_are_exactly_open_or_closed_whatever_their_scores():
    gate = StraightThrough((40, 40))
    with torch.no_grad():
        gate.scores.copy_(torch.randn(40, 40, generator=torch.Generator().manual_seed(0)) * 7)
        gate.mask.copy_(top(gate.scores, 700))
    assert torch.equal(gate(), gate.mask)


def test_sizes_count_what_shares_a_score():
    assert StraightThrough((6, 7), (4, 4)).sizes().tolist() == [[16, 12], [8, 6]]
    assert StraightThrough((5,)).sizes().tolist() == [1] * 5


@pytest.fixture
def selected(tiny_model):
    model = tiny_model("bert").eval()
    view = EncoderView(model)
    shapes = {(0, "head"): (view.heads(0),), (1, "ffn_in"): tuple(view.matrices(1)["ffn_in"].shape)}
    gates = {(0, "head"): StraightThrough(shapes[0, "head"])}
    gates[1, "ffn_in"] = StraightThrough(shapes[1, "ffn_in"], (8, 8))
    costs = {"head": 1.0, "ffn_in": 1.0}
    made = SelectedGates(gates, 0.01, TopOfEach(Ramp(0.0, 0.5, 0.5)), costs, refreshes=10)
    with torch.no_grad():
        for _, gate in made.each():
            gate.scores.copy_(torch.randn(gate.scores.shape, generator=torch.Generator().manual_seed(0)))
    return model, made


def test_units_and_weights_are_gated_together(selected):
    model, gates = selected
    gates.advance(1.0)
    with applied(model, gates.masks()):
        expected = logits(model)
    plain = logits(model)
    with gates_in_force(model, gates):
        torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(logits(model), plain)
    assert not torch.equal(expected, plain)


def test_a_selection_is_made_at_its_moments_and_a_resumed_training_knows_them(selected):
    _, gates = selected
    gates.advance(0.0)
    assert all(mask.all() for mask in gates.masks().values())
    gates.advance(0.55)
    first, state = gates.masks(), {name: tensor.clone() for name, tensor in gates.state_dict().items()}
    with torch.no_grad():
        for _, gate in gates.each():
            gate.scores.neg_()
    gates.advance(0.58)  # the same tenth of the training
    assert torch.equal(first[0, "head"], gates.masks()[0, "head"])
    gates.advance(0.61)
    assert not torch.equal(first[0, "head"], gates.masks()[0, "head"])
    gates.load_state_dict(state)
    with torch.no_grad():
        for _, gate in gates.each():
            gate.scores.neg_()
    gates.advance(0.58)
    assert torch.equal(first[0, "head"], gates.masks()[0, "head"])
