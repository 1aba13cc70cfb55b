"""Gates on single weights: the outputs of masked weights, gradients for both, and no trace afterwards."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.structure.masks import applied
from leanformer.structure.weight_gates import weights_gated
from leanformer.training.fake_quant import fake_quantised
from tiny import TINY_FAMILIES


def logits(model):
    tokens = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(3))
    return model(input_ids=tokens).logits


def random_gates(view):
    """A random 0/1 gate for each matrix, by (layer, name)."""
    generator = torch.Generator().manual_seed(0)
    return {
        (layer, name): (torch.rand(matrix.shape, generator=generator) > 0.3).float()
        for layer in range(view.n_layers)
        for name, matrix in view.matrices(layer).items()
    }


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_gated_linear_is_one_of_masked_weights(tiny_model, family):
    model = tiny_model(family).eval()
    view = EncoderView(model)
    gates = random_gates(view)
    del gates[0, "key"]  # without a gate a matrix stays, also where three are one linear
    with torch.no_grad():
        plain = logits(model)
        with applied(model, gates):
            expected = logits(model)
        with weights_gated(view, {key: (lambda gate=gate: gate) for key, gate in gates.items()}):
            torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=1e-5)
        assert torch.equal(logits(model), plain)
        assert not torch.equal(plain, expected)


@pytest.mark.parametrize("name", MATRICES)
def test_the_gradient_of_a_gate_is_the_weight_times_that_of_the_gated_weight(tiny_model, name):
    model = tiny_model("bert").eval()
    view = EncoderView(model)
    gate = torch.ones_like(view.matrices(0)[name]).requires_grad_(True)
    with weights_gated(view, {(0, name): lambda: gate}):
        logits(model)[:, 0].sum().backward()
    path = getattr(view.family, name)
    weight = view.layers[0].get_submodule(path).weight
    torch.testing.assert_close(gate.grad, weight.grad * weight)  # M = 1, so dL/dW = dL/dW'
    assert (gate.grad != 0).any()


def test_two_ways_to_compute_do_not_meet(tiny_model):
    model = tiny_model("bert")
    view = EncoderView(model)
    gates = {(0, "query"): lambda: torch.ones(())}
    with (
        fake_quantised(model),
        pytest.raises(ValueError, match="another forward"),
        weights_gated(view, gates),
    ):
        pass
    with weights_gated(view, gates):  # and the refusal left nothing behind
        pass
