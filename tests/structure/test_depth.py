"""A layer passed by == a layer dropped == saved and reloaded, for every family, whole and pruned."""

from __future__ import annotations

import pytest
import torch
from test_equivalence import logits
from transformers import AutoModelForSequenceClassification

from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.cost import macs_share, pruning_ratio
from leanformer.structure.depth import keep_layers
from leanformer.structure.masks import applied, kept_layers
from leanformer.structure.surgery import slice_units

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "modernbert")
LAYERS = 4


@pytest.fixture(params=FAMILIES)
def model(request, tiny_model):
    return tiny_model(request.param, layers=LAYERS).eval()


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("kept", [[0, 1], [0, 2, 3], [0]])
def test_passed_by_is_dropped_is_reloaded(model, kept, pruned, tmp_path):
    if pruned:
        units = {(0, "head"): torch.tensor([1.0, 0, 1, 1]), (2, "neuron"): (torch.arange(64) % 2).float()}
        model = slice_units(model, units)
    masks = {(layer, "layer"): torch.tensor([float(layer in kept)]) for layer in range(LAYERS)}
    with applied(model, masks):
        expected = logits(model)
    assert not torch.allclose(expected, logits(model), atol=1e-3)
    small = keep_layers(model, kept)
    assert EncoderView(small).n_layers == len(kept)
    torch.testing.assert_close(logits(small), expected, atol=1e-5, rtol=0)
    save_model(small, None, tmp_path)
    torch.testing.assert_close(
        logits(AutoModelForSequenceClassification.from_pretrained(tmp_path)), expected, atol=1e-5, rtol=0
    )
    assert kept_layers(masks, LAYERS) == kept


def test_the_first_layer_may_go_where_it_is_like_the_others(model):
    if EncoderView(model).family.pre_norm:
        with pytest.raises(ModelError, match=r"first layer of ModernBert.* can not be dropped"):
            keep_layers(model, [1, 2])
    else:
        assert EncoderView(keep_layers(model, [1, 2])).n_layers == 2


@pytest.mark.parametrize("kept", [[], [1, 0], [0, 0], [0, 4], [-1, 0]])
def test_layers_that_are_none_are_refused(tiny_model, kept):
    with pytest.raises(ValueError, match="are not rising numbers from 0 to 3"):
        keep_layers(tiny_model("bert", layers=LAYERS), kept)


def test_the_model_is_left_as_it_was(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = keep_layers(model, [0, 3])
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_layer_costs_what_its_units_do(model):
    view = EncoderView(model)
    masks = {(1, "layer"): torch.zeros(1), (2, "layer"): torch.ones(1)}
    assert pruning_ratio(view, masks) == pytest.approx(1 / LAYERS)
    assert macs_share(view, masks, 10) == pytest.approx(1 - 1 / LAYERS)


def test_half_a_layer_is_a_mixture(tiny_model):
    model = tiny_model("bert", layers=LAYERS).eval()
    found = []
    for share in (0.0, 0.5, 1.0):
        with applied(model, {(3, "layer"): torch.tensor([share])}):
            found.append(logits_before_the_head(model))
    torch.testing.assert_close(found[1], (found[0] + found[2]) / 2, atol=1e-5, rtol=0)


@torch.no_grad()
def logits_before_the_head(model):
    tokens = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(3))
    return model.base_model(input_ids=tokens).last_hidden_state
