from __future__ import annotations

import pytest
import torch

from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.structure.cost import (
    dimension_cost,
    dimension_macs,
    encoder_weights,
    head_cost,
    head_macs,
    macs_share,
    neuron_cost,
    neuron_macs,
    pruning_ratio,
    size_mb,
)
from leanformer.structure.masks import QUERY_KEY, VALUE_OUTPUT
from leanformer.structure.surgery import slice_units

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "modernbert")


@pytest.mark.parametrize("family", FAMILIES)
def test_costs_of_units_add_up_to_the_matrices(tiny_model, family):
    view = EncoderView(tiny_model(family))
    assert head_cost(view) == 4 * 32 * 8
    assert neuron_cost(view) == (96 if family == "modernbert" else 64)
    assert (
        encoder_weights(view) == view.prunable_weights() == 2 * (4 * head_cost(view) + 64 * neuron_cost(view))
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ratio_is_what_slicing_removes(tiny_model, family):
    model = tiny_model(family)
    masks = {(0, "head"): torch.tensor([1.0, 0, 0, 1]), (1, "neuron"): torch.tensor([0.0] * 40 + [1.0] * 24)}
    view, small = EncoderView(model), EncoderView(slice_units(model, masks))
    assert small.prunable_weights() == encoder_weights(small)
    removed = view.prunable_weights() - small.prunable_weights()
    assert removed == 2 * head_cost(view) + 40 * neuron_cost(view)
    assert pruning_ratio(view, masks) == pytest.approx(removed / view.prunable_weights())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ratio_of_dimensions_is_what_slicing_removes(tiny_model, family):
    """Here all heads keep as many, so that nothing is padded; of a head without values nothing stays."""
    model = tiny_model(family)
    values = torch.ones(4, 8)
    values[:, 5:], values[2] = 0, 0
    masks = {(0, VALUE_OUTPUT): values.flatten(), (1, "head"): torch.tensor([1.0, 0, 1, 1])}
    removed = (
        8 + 3 * 3 + 8 + 2 * 8
    )  # values and queries of the head that is gone, values of the others, a head
    if family != "modernbert":
        queries = torch.ones(4, 8)
        queries[:, 0] = 0
        masks[0, QUERY_KEY] = queries.flatten()
        masks[1, QUERY_KEY] = queries.flatten()
        removed += 3 + 3
    view, small = EncoderView(model), EncoderView(slice_units(model, masks))
    assert view.prunable_weights() - small.prunable_weights() == removed * dimension_cost(view)
    assert pruning_ratio(view, masks) == pytest.approx(removed * 64 / view.prunable_weights())
    assert small.prunable_weights() == encoder_weights(small)
    whole = 2 * (4 * head_macs(view, 10) + 64 * neuron_macs(view, 10))
    assert macs_share(view, masks, 10) == pytest.approx(1 - removed * dimension_macs(view, 10) / whole)
    assert macs_share(small, {}, 10) == 1.0


def test_the_ratio_of_heads_of_their_present_size(tiny_model):
    model = tiny_model("bert")
    values = (torch.arange(32) % 8 < 5).float()
    view = EncoderView(slice_units(model, {(0, VALUE_OUTPUT): values}))
    masks = {(0, "head"): torch.tensor([0.0, 1, 1, 1])}
    small = EncoderView(slice_units(view.model, masks))
    assert view.prunable_weights() - small.prunable_weights() == (8 + 5) * dimension_cost(view)
    assert pruning_ratio(view, masks) == pytest.approx((8 + 5) * 64 / view.prunable_weights())
    assert pruning_ratio(view, masks, "head") == pytest.approx((8 + 5) / (4 * (8 + 5) + 4 * 16))


def test_the_ratio_of_matrix_masks(tiny_model):
    view = EncoderView(tiny_model("bert"))
    mask = torch.ones(32, 32)
    mask[:, :16] = 0
    assert pruning_ratio(view, {(0, "key"): mask}) == pytest.approx(512 / view.prunable_weights())
    everything = {
        (n, name): torch.zeros(matrix.shape) for n in (0, 1) for name, matrix in view.matrices(n).items()
    }
    assert pruning_ratio(view, everything) == 1.0
    assert pruning_ratio(view, {}) == 0.0


def test_sizes_in_megabytes(tiny_model, tmp_path):
    model = tiny_model("bert")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert size_mb(model) == pytest.approx(4 * parameters / 1e6)
    save_model(model, None, tmp_path)
    assert size_mb(tmp_path) == pytest.approx((tmp_path / "model.safetensors").stat().st_size / 1e6)
    assert size_mb(str(tmp_path)) == pytest.approx(size_mb(model), rel=0.05)


def test_a_folder_without_weights_has_no_size(tmp_path):
    with pytest.raises(FileNotFoundError, match="No weight file"):
        size_mb(tmp_path)


def test_multiply_accumulates_by_hand(tiny_model):
    """Of 10 tokens, hidden size 32, heads of 8: four matrices of 32 x 8 each token, and 10 x 10 scores, twice."""
    view = EncoderView(tiny_model("bert"))
    assert dimension_macs(view, 10) == 10 * 2 * 32 + 10 * 10
    assert head_macs(view, 10) == 10 * 4 * 32 * 8 + 2 * 10 * 10 * 8
    assert neuron_macs(view, 10) == 10 * 2 * 32
    whole = 2 * (4 * head_macs(view, 10) + 64 * neuron_macs(view, 10))
    masks = {(0, "head"): torch.tensor([1.0, 0, 0, 1]), (1, "neuron"): torch.tensor([0.0] * 40 + [1.0] * 24)}
    left = whole - 2 * head_macs(view, 10) - 40 * neuron_macs(view, 10)
    assert macs_share(view, masks, 10) == pytest.approx(left / whole)
    assert macs_share(view, {(0, "key"): torch.zeros(32, 32)}, 10) == 1.0
