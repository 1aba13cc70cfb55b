"""Second moments: X^T X by hand, padding left out, gradients left alone, the pooled token heard most."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure import activations
from leanformer.structure.activations import FLOOR, second_moments, sites
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES


def batch_of(lengths: tuple[int, ...], padding: int = 0, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths) + padding
    ids = torch.zeros(len(lengths), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, 60, (length,), generator=generator)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def inputs_of(model, batch: dict[str, torch.Tensor]) -> dict[tuple[int, str], torch.Tensor]:
    """What enters each site at the real tokens, (real tokens, d)."""
    seen = {}
    handles = [
        linear.register_forward_hook(
            lambda module, args, output, key=key: seen.update({key: args[0].detach()})
        )
        for key, linear in sites(EncoderView(model)).items()
    ]
    with torch.no_grad():
        model(**batch)
    for handle in handles:
        handle.remove()
    return {key: x[batch["attention_mask"].bool()] for key, x in seen.items()}


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_with_equal_weights_it_is_the_product_of_the_inputs(tiny_model, monkeypatch, family):
    model = tiny_model(family)
    plain = activations._inputs_and_outputs

    def equal_gradients(*args):
        return {key: (x, torch.ones_like(gradient)) for key, (x, gradient) in plain(*args).items()}

    monkeypatch.setattr(activations, "_inputs_and_outputs", equal_gradients)
    plan = [batch_of((7, 4), seed=1), batch_of((5, 5, 2), seed=2)]
    moments = second_moments(model, plan, seed=0)
    assert set(moments) == {(layer, kind) for layer in (0, 1) for kind in ("head", "neuron")}
    for key, moment in moments.items():
        x = torch.cat([inputs_of(model, batch)[key] for batch in plan])
        x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
        scale = model.config.hidden_size * (1 + FLOOR)  # squared norm of a gradient of ones
        assert torch.allclose(moment.second, scale * x.T @ x, rtol=1e-4, atol=1e-4)
        assert len(moment.weights) == 23
        assert moment.dimensions == x.shape[1] - 1


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_padding_is_not_counted(tiny_model, family):
    model = tiny_model(family)
    narrow = second_moments(model, [batch_of((6, 3))], seed=0)
    wide = second_moments(model, [batch_of((6, 3), padding=9)], seed=0)
    for key, moment in narrow.items():
        assert len(moment.weights) == len(wide[key].weights) == 9
        size = moment.second.abs().max()
        assert torch.allclose(moment.second / size, wide[key].second / size, atol=1e-4)


def test_parameters_get_no_gradients_and_the_model_stays(tiny_model):
    model = tiny_model("bert")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    second_moments(model, [batch_of((6, 3))], seed=0)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_the_last_layer_hears_the_pooled_token_only(tiny_model, family):
    model = tiny_model(family)
    batch = batch_of((8, 8, 8))
    second = second_moments(model, [batch], seed=0)[1, "neuron"].second
    x = inputs_of(model, batch)[1, "neuron"].view(3, 8, -1)
    first, others = x[:, 0], x[:, 1:].flatten(0, 1)
    scale = second[-1, -1] / (24 * (1 + FLOOR))
    background = scale * FLOOR * others.T @ others  # the other tokens count with the least weight only
    pooled = second[:-1, :-1] - background
    rank = torch.linalg.matrix_rank(pooled / pooled.abs().max(), rtol=1e-3)
    assert rank <= len(first)
    basis = torch.linalg.qr(first.T).Q  # (d, 3)
    assert torch.allclose(basis @ (basis.T @ pooled), pooled, atol=1e-3 * float(pooled.abs().max()))


def test_weights_change_the_moments(tiny_model):
    model = tiny_model("bert")
    batch = batch_of((8, 6))
    x = inputs_of(model, batch)[1, "head"]
    second = second_moments(model, [batch], seed=0)[1, "head"].second[:-1, :-1]
    unweighted = x.T @ x
    assert torch.nn.functional.cosine_similarity(second.flatten(), unweighted.flatten(), dim=0) < 0.999


def test_same_seed_same_moments(tiny_model):
    model = tiny_model("bert", num_labels=3)
    plan = [batch_of((8, 6)), batch_of((4, 4, 4), seed=5)]
    found = [second_moments(model, plan, seed)[0, "neuron"].second for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0] / found[0].max(), found[2] / found[2].max(), rtol=1e-3)


def test_labels_are_not_read(tiny_model):
    model, batch = tiny_model("bert"), batch_of((8, 6))
    with_labels = second_moments(model, [{**batch, "labels": torch.tensor([0, 1])}], seed=0)
    without = second_moments(model, [batch], seed=0)
    assert all(torch.equal(moment.second, with_labels[key].second) for key, moment in without.items())


def test_empty_sublayers_have_no_site(tiny_model):
    model = slice_units(tiny_model("bert"), {(0, "head"): torch.zeros(4), (1, "neuron"): torch.zeros(64)})
    assert set(second_moments(model, [batch_of((5,))], seed=0)) == {(0, "neuron"), (1, "head")}
