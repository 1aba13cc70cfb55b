"""Zeros that leave a unit empty: it is sliced, a constant stays in the bias, and no answer changes."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.empty import without_empty_units
from tiny import TINY_FAMILIES
from tiny import tiny_logits as logits


@pytest.fixture(params=TINY_FAMILIES)
def lively(request, tiny_model):
    """A model of each family whose biases are not zero."""
    model = tiny_model(request.param).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def test_a_model_without_empty_units_keeps_all(lively):
    small, masks = without_empty_units(lively)
    assert all(mask.all() for mask in masks.values())
    torch.testing.assert_close(logits(small), logits(lively), atol=1e-5, rtol=1e-5)


def test_what_gives_nothing_or_a_constant_leaves(lively):
    view = EncoderView(lively)
    size = view.head_size
    with torch.no_grad():
        first, second = view.matrices(0), view.matrices(1)
        first["attention_out"][:, :size] = 0  # head 1 is not heard
        first["value"][size : 2 * size] = 0  # head 2 gives its bias
        first["query"][2 * size : 3 * size] = 0  # head 3 attends evenly, and stays
        first["ffn_out"][:, :5] = 0
        first["ffn_in"][5:8] = 0
        second["attention_out"].zero_()  # a sub-layer is empty
        second["ffn_in"].zero_()
    small, masks = without_empty_units(lively)
    assert masks[0, "head"].tolist() == [0, 0, 1, 1]
    assert masks[1, "head"].sum() == 0
    assert int(masks[0, "neuron"].sum()) == view.width(0) - 8
    assert masks[1, "neuron"].sum() == 0
    torch.testing.assert_close(logits(small), logits(lively), atol=1e-5, rtol=1e-5)


def test_the_given_model_stays(tiny_model):
    model = tiny_model("bert").eval()
    with torch.no_grad():
        EncoderView(model).matrices(0)["value"].zero_()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    without_empty_units(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
