from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.structure.masks import GATED, Masks, applied, make_permanent, unit_counts


@pytest.fixture(params=["bert", "modernbert", "mpnet"])
def model(tiny_model, request):
    return tiny_model(request.param)


def logits(model) -> torch.Tensor:
    return model(input_ids=torch.arange(5, 15).view(2, 5)).logits


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_weights(model, before: dict[str, torch.Tensor]) -> None:
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", ["head", "neuron", "value_output", *MATRICES])
def test_a_mask_of_zeros_changes_the_output(model, kind):
    view = EncoderView(model)
    size = unit_counts(view, 1).get(kind) or view.matrices(1)[kind].shape
    dense = logits(model)
    with applied(model, {(1, kind): torch.zeros(size)}):
        assert (logits(model) - dense).abs().max() > 1e-4
    assert torch.equal(logits(model), dense)


@pytest.mark.parametrize("kind", ["head", "neuron", "value_output", *MATRICES])
def test_a_mask_of_ones_changes_nothing(model, kind):
    view = EncoderView(model)
    size = unit_counts(view, 0).get(kind) or view.matrices(0)[kind].shape
    dense = logits(model)
    with applied(model, {(0, kind): torch.ones(size)}):
        assert torch.equal(logits(model), dense)


def test_weights_are_restored_bitwise_after_an_error(model):
    view, before = EncoderView(model), weights(model)
    masks: Masks = {
        (layer, name): torch.rand(matrix.shape)
        for layer in (0, 1)
        for name, matrix in view.matrices(layer).items()
    }
    masks[0, "head"] = torch.zeros(view.heads(0))
    dense = logits(model)

    def fail_under_masks() -> None:
        with applied(model, masks):
            assert not torch.equal(logits(model), dense)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_under_masks()
    assert_same_weights(model, before)
    assert torch.equal(logits(model), dense)


@pytest.mark.parametrize("kind", GATED)
def test_the_gradient_of_a_gate_is_the_slope_of_the_output(model, kind):
    size = unit_counts(EncoderView(model), 0).get(kind)
    if size is None:
        pytest.skip("its queries turn in pairs")
    model.double()
    gate = torch.ones(size, dtype=torch.float64, requires_grad=True)
    with applied(model, {(0, kind): gate}):
        logits(model).sum().backward()
    step = 1e-2  # modernbert rotates queries and keys in 32 bits, also in a 64-bit model
    for unit in range(0, size, max(1, size // 3)):
        moved = torch.ones(size, dtype=torch.float64)
        moved[unit] += step
        with torch.no_grad(), applied(model, {(0, kind): moved}):
            above = logits(model).sum()
        moved[unit] -= 2 * step
        with torch.no_grad(), applied(model, {(0, kind): moved}):
            below = logits(model).sum()
        slope = (above - below) / (2 * step)
        torch.testing.assert_close(gate.grad[unit], slope, atol=1e-4, rtol=1e-2)


def test_gates_scale_the_units_they_name(model):
    """Halving a head's gate is halving its columns of the output linear."""
    view = EncoderView(model)
    gate = torch.ones(view.heads(1))
    gate[2] = 0.5
    with applied(model, {(1, "head"): gate}):
        gated = logits(model)
    columns = view.attention_out(1).weight.data[:, 2 * view.head_size : 3 * view.head_size]
    columns.mul_(0.5)
    torch.testing.assert_close(logits(model), gated, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({(7, "head"): torch.ones(4)}, "layer 7"),
        ({(0, "head"): torch.ones(5)}, r"shape \(5,\), expected \(4,\)"),
        ({(0, "tail"): torch.ones(4)}, "'tail' is no kind of mask"),
        ({(0, "value_output"): torch.ones(4)}, r"shape \(4,\), expected \(32,\)"),
        ({(0, "query"): torch.ones(4)}, "query mask of layer 0"),
    ],
)
def test_masks_that_do_not_fit_are_refused(model, masks, message):
    before = weights(model)
    with pytest.raises(ValueError, match=message), applied(model, masks):
        pass
    assert_same_weights(model, before)


def test_only_matrix_masks_are_made_permanent(model):
    before = weights(model)
    with pytest.raises(ValueError, match="surgery removes"):
        make_permanent(model, {(0, "head"): torch.zeros(4), (0, "query"): torch.zeros(32, 32)})
    assert_same_weights(model, before)
    make_permanent(model, {(0, "value"): torch.zeros(32, 32)})
    view = EncoderView(model)
    assert view.matrices(0)["value"].abs().max() == 0
    assert (view.matrices(0)["query"] != 0).all()
    assert (view.matrices(0)["key"] != 0).all()
