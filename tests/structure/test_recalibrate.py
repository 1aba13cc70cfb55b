"""Recalibration: on its own batch, each LayerNorm's output has the dense mean and spread again."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.recalibrate import recalibrate_norms
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES

LAST_NORM = {
    "bert": "output.LayerNorm",
    "roberta": "output.LayerNorm",
    "electra": "output.LayerNorm",
    "distilbert": "output_layer_norm",
    "mpnet": "output.LayerNorm",
}


def batch_of(seed: int = 0) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 100, (16, 12), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[:8, 7:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def masks_of(model, share: float = 0.5) -> dict:
    view = EncoderView(model)
    masks = {}
    for layer in range(view.n_layers):
        for kind, size in (("head", view.heads(layer)), ("neuron", view.width(layer))):
            masks[layer, kind] = (torch.arange(size) < share * size).float()
    return masks


def states_of(model, path: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """What leaves a module of the last layer at the real tokens, (real tokens, hidden)."""
    seen = []
    module = EncoderView(model).layers[-1].get_submodule(path)
    handle = module.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad():
        model(**batch)
    handle.remove()
    return seen[0][batch["attention_mask"].bool()]


@pytest.mark.parametrize("family", sorted(LAST_NORM))
def test_the_last_norm_has_the_dense_statistics(tiny_model, family):
    dense, batch = tiny_model(family), batch_of()
    small = slice_units(dense, masks_of(dense))
    wanted = states_of(dense, LAST_NORM[family], batch)
    before = states_of(small, LAST_NORM[family], batch)
    recalibrate_norms(dense, small, batch)
    after = states_of(small, LAST_NORM[family], batch)
    assert not torch.allclose(before.mean(0), wanted.mean(0), atol=1e-2)
    assert torch.allclose(after.mean(0), wanted.mean(0), atol=1e-4)
    assert torch.allclose(after.std(0), wanted.std(0), atol=1e-3)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_an_unpruned_model_is_not_changed(tiny_model, family):
    dense, batch = tiny_model(family), batch_of()
    small = slice_units(dense, masks_of(dense, share=1.0))
    recalibrate_norms(dense, small, batch)
    for name, tensor in dense.state_dict().items():
        assert torch.allclose(small.state_dict()[name], tensor, atol=1e-5), name


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_only_norms_change_and_the_dense_model_does_not(tiny_model, family):
    dense, batch = tiny_model(family), batch_of()
    frozen = {name: tensor.clone() for name, tensor in dense.state_dict().items()}
    small = slice_units(dense, {**masks_of(dense), (0, "head"): torch.zeros(4)})
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    recalibrate_norms(dense, small, {**batch, "labels": torch.zeros(16).long()})
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in dense.state_dict().items())
    changed = {name for name, tensor in small.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all("norm" in name.lower() for name in changed)
    assert torch.isfinite(small(**batch).logits).all()
    assert not any(module._forward_hooks for model in (dense, small) for module in model.modules())
