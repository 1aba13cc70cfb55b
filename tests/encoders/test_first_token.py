"""The form first-token gives the plain model's logits: every family, dense and pruned, padded and not."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, CamembertConfig

from leanformer.encoders.first_token import FirstTokenAttention, first_token_only
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.masks import Masks
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES

HEADS, WIDTH = 4, 64
TOLERANCE = 1e-5
ROUNDING = 1e-6  # of the largest logit: what reordered sums leave in float32
FIRST: Masks = {
    (0, "head"): torch.tensor([0.0, 1, 1, 1]),
    (0, "neuron"): (torch.arange(WIDTH) % 3 > 0).float(),
}


def masks(case: str) -> Masks:
    """What is taken from the two layers; the last one, which is rewritten, loses heads, neurons, or all of them."""
    heads, neurons = torch.tensor([0.0, 1, 0, 1]), (torch.arange(WIDTH) % 2).float()
    return {
        "dense": {},
        "uneven": {**FIRST, (1, "head"): heads, (1, "neuron"): neurons},
        "no heads": {**FIRST, (1, "head"): torch.zeros(HEADS), (1, "neuron"): neurons},
        "no neurons": {**FIRST, (1, "head"): heads, (1, "neuron"): torch.zeros(WIDTH)},
        "nothing": {**FIRST, (1, "head"): torch.zeros(HEADS), (1, "neuron"): torch.zeros(WIDTH)},
    }[case]


CASES = ("dense", "uneven", "no heads", "no neurons", "nothing")


def batch(rows: int, tokens: int, left: bool = False) -> dict[str, torch.Tensor]:
    """Random tokens; every row but the first is padded, further with each row."""
    generator = torch.Generator().manual_seed(rows * 100 + tokens)
    ids = torch.randint(5, 100, (rows, tokens), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        gone = slice(0, row) if left else slice(tokens - row, tokens)
        mask[row, gone] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


BATCHES = [
    batch(1, 1),
    batch(1, 9),
    batch(5, 33),
    batch(3, 12, left=True),
    {"input_ids": batch(2, 7)["input_ids"]},
]


@torch.no_grad()
def assert_equal(changed, model, tolerance=TOLERANCE) -> None:
    for inputs in BATCHES:
        expected = model(**inputs).logits
        allowed = tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(changed(**inputs).logits, expected, atol=allowed, rtol=0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("family", "attention"),
    [(name, "eager") for name in TINY_FAMILIES]
    + [(name, "sdpa") for name in TINY_FAMILIES if name != "mpnet"],
)
def test_the_logits_are_the_same(tiny_model, family, case, attention):
    model = tiny_model(family, heads=HEADS, width=WIDTH)
    model.set_attn_implementation(attention)
    model = slice_units(model, masks(case)) if masks(case) else model
    assert model.config._attn_implementation == attention
    assert_equal(first_token_only(model), model, ROUNDING)


def test_camembert_too(tiny_model):
    values = tiny_model("roberta").config.to_dict()
    values.pop("model_type")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(CamembertConfig(**values)).eval()
    assert_equal(first_token_only(model), model)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_only_one_token_leaves_the_last_layer(tiny_model, family):
    changed = first_token_only(tiny_model(family))
    view, seen = EncoderView(changed), {}
    sites = {"query": view.family.query, "ffn": view.family.ffn_in, "out": view.family.attention_out}
    if view.family.fused:
        del sites["query"]  # its rows are kept apart
    for layer in (0, 1):
        for name, path in sites.items():
            view.layers[layer].get_submodule(path).register_forward_pre_hook(
                lambda module, inputs, key=(layer, name): seen.update({key: inputs[0].shape[1]})
            )
    changed(**batch(2, 9))
    assert seen == {(layer, name): (9, 1)[layer] for layer in (0, 1) for name in sites}


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_model_stays_and_its_weights_are_shared(tiny_model, family, tmp_path):
    model = tiny_model(family).train()
    before, classes = model.state_dict(), [type(module) for module in model.modules()]
    changed = first_token_only(model)
    assert (model.training, changed.training) == (True, False)
    assert [type(module) for module in model.modules()] == classes
    assert list(changed.state_dict()) == list(before)
    for name, parameter in changed.named_parameters():
        assert parameter is model.get_parameter(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert_equal(changed, model.eval())
    save_model(changed, None, tmp_path)
    assert_equal(AutoModelForSequenceClassification.from_pretrained(tmp_path), model)


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
def test_a_copy_and_a_second_rewriting_are_right(tiny_model, family):
    model = tiny_model(family)
    changed = first_token_only(model)
    assert_equal(first_token_only(changed), model)
    other = copy.deepcopy(changed)
    with torch.no_grad():
        for tensor in (*other.parameters(), *other.buffers()):
            if tensor.is_floating_point():
                tensor.zero_()
    assert_equal(changed, model)
    assert_equal(changed.double().float(), model)


def test_an_attention_that_shows_nothing_is_not_kept_in_memory(tiny_model):
    changed = first_token_only(tiny_model("bert"))
    changed(**batch(2, 9))
    attention = next(module for module in changed.modules() if isinstance(module, FirstTokenAttention))
    assert attention.all_states is None


def test_a_head_that_pools_over_all_tokens_is_refused(tiny_model):
    model = tiny_model("modernbert")
    model.config.classifier_pooling = "mean"
    with pytest.raises(ModelError, match=r"all tokens \(classifier_pooling is 'mean'\)"):
        first_token_only(model)


def test_other_heads_are_refused(tiny_model):
    model = AutoModelForTokenClassification.from_config(tiny_model("bert").config)
    with pytest.raises(ModelError, match="BertForTokenClassification reads every token"):
        first_token_only(model)


def test_an_unknown_attention_is_refused(tiny_model):
    model = tiny_model("bert")
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(ModelError, match="not 'flex_attention'"):
        first_token_only(model)
