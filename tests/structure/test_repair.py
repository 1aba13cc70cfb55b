"""Repair: equal to least squares, never worse than no repair, for every family."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.activations import Moments, second_moments, sites
from leanformer.structure.importance import weight_magnitude
from leanformer.structure.masks import Masks, make_permanent
from leanformer.structure.repair import Fits, repair_units, repair_weights
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES


def moments_of(model) -> Moments:
    generator = torch.Generator().manual_seed(0)
    plan = [
        {
            "input_ids": torch.randint(5, 100, (8, 12), generator=generator),
            "attention_mask": torch.ones(8, 12).long(),
        }
        for _ in range(3)
    ]
    return second_moments(model, plan, seed=0)


def half_masks(model, empty: tuple[tuple[int, str], ...] = ()) -> Masks:
    view, generator = EncoderView(model), torch.Generator().manual_seed(1)
    masks: Masks = {}
    for layer in range(view.n_layers):
        for kind, size in (("head", view.heads(layer)), ("neuron", view.width(layer))):
            masks[layer, kind] = torch.zeros(size)
            if (layer, kind) not in empty:
                masks[layer, kind][torch.randperm(size, generator=generator)[: size // 2]] = 1.0
    return masks


def columns_of(mask: torch.Tensor, d: int) -> torch.Tensor:
    return mask.bool().repeat_interleave(d // len(mask)).nonzero().squeeze(1)


def site_difference(
    dense, small, key: tuple[int, str], d: int, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Dense minus small weights and bias of a sub-layer's output, (hidden, d + 1)."""
    big, view = sites(EncoderView(dense))[key], EncoderView(small)
    difference = torch.zeros(len(big.weight), d + 1)
    difference[:, :-1] = big.weight.detach()
    if key in sites(view):
        columns = slice(0, -1) if mask is None else columns_of(mask, d)
        difference[:, columns] -= sites(view)[key].weight.detach()
    bias = view.output_bias(*key)
    if bias is not None:
        difference[:, -1] = (big.bias - bias).detach()
    return difference


def site_errors(dense, small, masks: Masks, moments: Moments) -> dict[tuple[int, str], float]:
    """Weighted squared error of each sub-layer's output on the dense inputs: tr(D M D^T), D = dense - small."""
    errors = {}
    for key, moment in moments.items():
        difference = site_difference(dense, small, key, moment.dimensions, masks.get(key))
        errors[key] = float(((difference @ moment.second) * difference).sum())
    return errors


@pytest.mark.parametrize("empty", [(), ((0, "head"), (1, "neuron"))], ids=["halves", "empty sub-layers"])
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_repair_brings_every_sublayer_closer(tiny_model, family, empty):
    dense = tiny_model(family)
    moments, masks = moments_of(dense), half_masks(dense, empty)
    small = slice_units(dense, masks)
    before = site_errors(dense, small, masks, moments)
    repair_units(EncoderView(dense), EncoderView(small), masks, moments)
    after = site_errors(dense, small, masks, moments)
    for key, error in after.items():
        if key in empty and EncoderView(dense).output_bias(*key) is None:
            assert error == before[key]  # nothing is left that could be fitted
        else:
            assert error < before[key]
    ids = torch.arange(5, 25).view(2, 10)
    assert torch.isfinite(small(input_ids=ids).logits).all()


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_repair_is_least_squares(tiny_model, family, monkeypatch):
    monkeypatch.setattr("leanformer.structure.importance.DAMPING", 1e-9)
    dense = tiny_model(family)
    moments, masks = moments_of(dense), half_masks(dense)
    small = slice_units(dense, masks)
    repair_units(EncoderView(dense), EncoderView(small), masks, moments)
    for key, linear in sites(EncoderView(dense)).items():
        moment = moments[key]
        columns = columns_of(masks[key], moment.dimensions)
        if linear.bias is not None:
            columns = torch.cat([columns, torch.tensor([moment.dimensions])])
        values, vectors = np.linalg.eigh(moment.second.double().numpy())
        root = np.sqrt(values.clip(0))[:, None] * vectors.T  # root^T root = second
        extra = np.zeros((len(linear.weight), 1))
        wanted = np.hstack([linear.weight.detach().double().numpy(), extra]) @ root.T  # (hidden, d + 1)
        solution = np.linalg.lstsq(root[:, columns.numpy()], wanted.T, rcond=None)[0].T
        fitted = sites(EncoderView(small))[key].weight.detach().numpy()
        residual_best = np.square(wanted - solution @ root[:, columns.numpy()].T).sum()
        if linear.bias is not None:
            fitted = np.hstack([fitted, (small_bias(small, key) - linear.bias.detach().numpy())[:, None]])
        residual = np.square(wanted - fitted @ root[:, columns.numpy()].T).sum()
        assert residual == pytest.approx(residual_best, rel=1e-3)
        assert residual_best > 0


def small_bias(model, key: tuple[int, str]) -> np.ndarray:
    return EncoderView(model).output_bias(*key).detach().numpy()


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_without_removal_nothing_changes(tiny_model, family):
    dense = tiny_model(family)
    masks = {key: torch.ones_like(mask) for key, mask in half_masks(dense).items()}
    small = slice_units(dense, masks)
    repair_units(EncoderView(dense), EncoderView(small), masks, moments_of(dense))
    for name, tensor in dense.state_dict().items():
        assert torch.allclose(small.state_dict()[name], tensor, atol=1e-5), name


def test_a_sublayer_without_a_mask_is_left_alone(tiny_model):
    dense = tiny_model("bert")
    masks = {(0, "head"): torch.tensor([1.0, 0, 1, 0])}
    small = slice_units(dense, masks)
    repair_units(EncoderView(dense), EncoderView(small), masks, moments_of(dense))
    for key in ((0, "neuron"), (1, "head"), (1, "neuron")):
        assert torch.equal(sites(EncoderView(small))[key].weight, sites(EncoderView(dense))[key].weight)


def test_an_emptied_sublayer_answers_its_mean(tiny_model):
    dense = tiny_model("bert")
    moments, masks = moments_of(dense), half_masks(dense, empty=((0, "neuron"),))
    small = slice_units(dense, masks)
    repair_units(EncoderView(dense), EncoderView(small), masks, moments)
    second = moments[0, "neuron"].second
    linear = sites(EncoderView(dense))[0, "neuron"]
    mean = linear.weight @ (second[:-1, -1] / second[-1, -1]) + linear.bias
    assert np.allclose(small_bias(small, (0, "neuron")), mean.detach().numpy(), atol=2e-3)


def sparse_copy(dense, ratio: float):
    masks = {}
    for key, score in weight_magnitude(EncoderView(dense)).items():
        masks[key] = (score > score.flatten().quantile(ratio)).float()
    small = copy.deepcopy(dense)
    make_permanent(small, masks)
    return small, masks


@pytest.mark.parametrize("family", TINY_FAMILIES)
@pytest.mark.parametrize("ratio", [0.5, 0.9])
def test_sparse_rows_come_closer_and_keep_their_zeros(tiny_model, family, ratio):
    dense = tiny_model(family)
    moments = moments_of(dense)
    small, masks = sparse_copy(dense, ratio)
    before = site_errors(dense, small, {}, moments)
    repair_weights(EncoderView(dense), EncoderView(small), moments)
    after = site_errors(dense, small, {}, moments)
    assert all(after[key] < before[key] for key in after)
    view = EncoderView(small)
    for (layer, kind), mask in masks.items():
        assert torch.equal(view.matrices(layer)[kind] != 0, mask.bool())


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_what_is_left_over_has_nothing_to_do_with_the_sparse_rows(tiny_model, family):
    """The condition for least squares: with factor and bias fitted, no other factor is better."""
    dense = tiny_model(family)
    moments = moments_of(dense)
    small, _ = sparse_copy(dense, 0.6)
    repair_weights(EncoderView(dense), EncoderView(small), moments)
    for key, linear in sites(EncoderView(small)).items():
        difference, moment = site_difference(dense, small, key, moments[key].dimensions), moments[key].second
        rows = torch.nn.functional.pad(linear.weight.detach(), (0, 1))
        overlap = ((difference @ moment) * rows).sum(dim=1)
        size = ((rows @ moment) * rows).sum(dim=1)
        assert (overlap.abs() < 1e-3 * size).all()


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_a_halved_row_is_scaled_back(tiny_model, family):
    dense = tiny_model(family)
    small = copy.deepcopy(dense)
    with torch.no_grad():
        sites(EncoderView(small))[0, "neuron"].weight.mul_(0.5)
    repair_weights(EncoderView(dense), EncoderView(small), moments_of(dense))
    for name, tensor in dense.state_dict().items():
        assert torch.allclose(small.state_dict()[name], tensor, atol=1e-4), name


def test_a_row_without_weights_answers_its_mean(tiny_model):
    dense = tiny_model("bert")
    small = copy.deepcopy(dense)
    with torch.no_grad():
        sites(EncoderView(small))[0, "neuron"].weight[3] = 0.0
    moments = moments_of(dense)
    repair_weights(EncoderView(dense), EncoderView(small), moments)
    second = moments[0, "neuron"].second
    linear = sites(EncoderView(dense))[0, "neuron"]
    mean = linear.weight[3] @ (second[:-1, -1] / second[-1, -1]) + linear.bias[3]
    assert sites(EncoderView(small))[0, "neuron"].weight[3].abs().sum() == 0
    assert small_bias(small, (0, "neuron"))[3] == pytest.approx(mean.item(), abs=1e-5)


def test_known_fits_change_nothing_and_are_bounded(tiny_model):
    dense = tiny_model("bert")
    moments, masks = moments_of(dense), half_masks(dense)
    fits, full = Fits(), Fits(limit_mb=0.001)

    def repaired(fits: Fits | None) -> dict[str, torch.Tensor]:
        small = slice_units(dense, masks)
        repair_units(EncoderView(dense), EncoderView(small), masks, moments, fits)
        return small.state_dict()

    wanted = repaired(None)
    for state in (repaired(fits), repaired(fits), repaired(full), repaired(full)):
        assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    key = (0, "head")
    linear = sites(EncoderView(dense))[key]
    known = [fits.fit(key, masks[key], linear, moments[key])[0] for _ in range(2)]
    assert known[0] is known[1]  # solved once
    afresh = [Fits(0).fit(key, masks[key], linear, moments[key])[0] for _ in range(2)]
    assert afresh[0] is not afresh[1]
    assert not torch.equal(known[0], fits.fit(key, 1 - masks[key], linear, moments[key])[0])
