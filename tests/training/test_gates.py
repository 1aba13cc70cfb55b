"""Trainable gates: the sampler against its formula, gates in a model, and a target that is met."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import applied
from leanformer.training.gates import Gates, HardConcrete, gates_in_force, hard_concrete
from leanformer.training.penalties import ExpectedOpen, TowardsShare
from tiny import tiny_logits as logits

DRAWS = 20_000


@torch.no_grad()
def set_to(gate, values):
    gate.log_alpha.copy_(torch.tensor(values))


@pytest.mark.parametrize("beta", [0.33, 2 / 3])
def test_the_probability_of_an_open_gate_is_that_of_the_sampler(beta):
    gate = HardConcrete(5, beta)
    set_to(gate, [-4.0, -1.0, 0.0, 1.0, 4.0])
    torch.manual_seed(0)
    with torch.no_grad():
        opened = torch.stack([gate() > 0 for _ in range(DRAWS)]).float().mean(dim=0)
    torch.testing.assert_close(
        opened, gate.open_probability().detach(), atol=0.012, rtol=0
    )  # 3 standard errors


def test_gates_are_exactly_closed_and_exactly_open_at_times():
    gate = HardConcrete(DRAWS, 0.33)
    torch.manual_seed(0)
    drawn = gate()
    assert (drawn == 0).any()
    assert (drawn == 1).any()
    assert ((drawn >= 0) & (drawn <= 1)).all()


def test_what_eval_mode_gives():
    gate = HardConcrete(3, 0.33).eval()
    set_to(gate, [-2.4, 0.0, 2.4])  # closed from -2.398 down, whole from 2.398 up
    assert gate().tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert torch.equal(gate(), gate())


def test_a_gate_learns_through_the_sampler():
    gate = HardConcrete(4, 0.33)
    torch.manual_seed(0)
    gate().sum().backward()
    assert (gate.log_alpha.grad != 0).any()


@pytest.fixture
def gated_model(tiny_model):
    model = tiny_model("bert").eval()
    gates = Gates(hard_concrete(EncoderView(model), ("head", "neuron"), 0.33, 0.0), 0.1, ExpectedOpen(0.1))
    return model, gates


def test_gates_in_a_model_are_masks_and_leave_no_trace(gated_model):
    model, gates = gated_model
    plain, names = logits(model), set(model.state_dict())
    for _, gate in gates.each():
        set_to(gate, torch.linspace(-3, 3, len(gate.log_alpha)).tolist())
    with applied(model, {key: value.detach() for key, value in gates.eval().values().items()}):
        expected = logits(model)
    with gates_in_force(model, gates):
        assert "gates.gates.0.log_alpha" in model.state_dict()
        torch.testing.assert_close(logits(model), expected)
        gates.train()
        torch.manual_seed(0)
        assert not torch.equal(logits(model), logits(model))  # drawn anew
    assert torch.equal(logits(model), plain)
    assert set(model.state_dict()) == names


def test_multipliers_lead_the_expected_share_to_its_target(tiny_model):
    """Without any loss but the Lagrangian: two optimisers' groups, one of them ascending."""
    view = EncoderView(tiny_model("bert", layers=4))
    penalty = TowardsShare(0.3, {"head": 1.0}, ramp=0.3)
    gates = Gates(hard_concrete(view, ("head",), 0.33, 2.5), 0.05, penalty)
    optimizer = torch.optim.AdamW(gates.groups())
    steps = 600
    for step in range(steps):
        optimizer.zero_grad()
        gates.cost(step / steps).backward()
        optimizer.step()
    share = torch.cat(list(gates.open_probabilities().values())).mean()
    assert float(share.detach()) == pytest.approx(0.3, abs=0.05)
