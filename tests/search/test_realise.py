"""From candidates to masks and models: what is kept, how much, and that the dense model stays as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.search.realise import Realiser, Repair, masks_of, unit_space, weight_space
from leanformer.structure.activations import second_moments
from leanformer.structure.cost import pruning_ratio
from leanformer.structure.importance import unit_magnitude, weight_magnitude
from leanformer.structure.sequential import dense_stream

REPAIRS = get_args(Repair)
FAMILIES = ("bert", "modernbert", "mpnet")
IDS = torch.arange(5, 25).view(2, 10)
BATCH = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


def realiser_of(model, granularity: str, ratio: float, moments: bool = False) -> Realiser:
    view = EncoderView(model)
    space = (weight_space if granularity == "weight" else unit_space)(view, ratio)
    scores = (weight_magnitude if granularity == "weight" else unit_magnitude)(view)
    if not moments:
        return Realiser(model, space, scores)
    gathered = second_moments(model, [BATCH], seed=0)
    return Realiser(model, space, scores, gathered, dense_stream(model, [BATCH], gathered))


def test_a_width_is_searched_in_steps_where_it_divides(tiny_model):
    groups = unit_space(EncoderView(tiny_model("bert", width=96)), 0.5).groups
    assert [(group.kind, group.units, group.levels) for group in groups[:2]] == [
        ("head", 4, 4),
        ("neuron", 96, 48),
    ]
    assert unit_space(EncoderView(tiny_model("bert", width=50)), 0.5).groups[1].levels == 50


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_a_space_counts_the_weights_of_the_encoder(tiny_model, family, granularity):
    view = EncoderView(tiny_model(family))
    space = (weight_space if granularity == "weight" else unit_space)(view, 0.5)
    assert space.total == pytest.approx(view.prunable_weights())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_masks_remove_what_the_candidate_says(tiny_model, family, granularity):
    realiser = realiser_of(tiny_model(family), granularity, 0.6)
    space = realiser.space
    candidate = space.random(np.random.default_rng(0))
    masks = realiser.masks(candidate)
    assert pruning_ratio(EncoderView(realiser.dense), masks) == pytest.approx(
        space.ratio(candidate), abs=1e-9
    )
    for group, level in zip(space.groups, candidate, strict=True):
        assert masks[group.layer, group.kind].sum() == group.kept(level)


def test_the_units_of_highest_score_stay(tiny_model):
    space = unit_space(EncoderView(tiny_model("bert")), 0.5)
    scores = {(group.layer, group.kind): torch.arange(group.units).float() for group in space.groups}
    masks = masks_of(space, (1, 0, 4, 64), scores)
    assert masks[0, "head"].tolist() == [0, 0, 0, 1]
    assert masks[0, "neuron"].sum() == 0
    assert masks[1, "head"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("granularity", ["unit", "weight"])
@pytest.mark.parametrize("repair", REPAIRS)
def test_the_dense_model_is_never_changed(tiny_model, granularity, repair):
    realiser = realiser_of(tiny_model("bert"), granularity, 0.7, moments=True)
    before = {name: tensor.clone() for name, tensor in realiser.dense.state_dict().items()}
    model = realiser.build(realiser.space.uniform(), repair)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in realiser.dense.state_dict().items())
    assert not model.training


def test_units_make_the_model_small(tiny_model):
    realiser = realiser_of(tiny_model("bert"), "unit", 0.5)
    small = EncoderView(realiser.build((1, 10, 3, 0), "none"))
    assert [(small.heads(layer), small.width(layer)) for layer in (0, 1)] == [(1, 10), (3, 0)]


def test_weights_leave_zeros(tiny_model):
    realiser = realiser_of(tiny_model("bert"), "weight", 0.7, moments=True)
    candidate = realiser.space.uniform()
    masks = realiser.masks(candidate)
    for repair in REPAIRS:
        view = EncoderView(realiser.build(candidate, repair))
        for layer in range(view.n_layers):
            for name in MATRICES:
                assert torch.equal(view.matrices(layer)[name] != 0, masks[layer, name].bool())


def test_repair_needs_moments(tiny_model):
    realiser = realiser_of(tiny_model("bert"), "unit", 0.5)
    with pytest.raises(ValueError, match="second moments"):
        realiser.build(realiser.space.uniform(), "one pass")
    half = replace(realiser, moments=second_moments(realiser.dense, [BATCH], seed=0))
    with pytest.raises(ValueError, match="residual stream"):
        half.build(realiser.space.uniform(), "in sequence")
