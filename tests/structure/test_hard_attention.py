"""Hard attention for a while == for good == saved and reloaded == exported; and it is what its formula says."""

from __future__ import annotations

import pytest
import torch
from test_equivalence import logits
from transformers import AutoModelForSequenceClassification

from leanformer.encoders.carried_attention import hard_attention
from leanformer.encoders.forms import forms_for
from leanformer.encoders.saving import plain_width, save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.export.exporters import export_onnx
from leanformer.structure.depth import keep_layers
from leanformer.structure.hard_attention import hardened, with_hard_attention
from leanformer.structure.surgery import slice_units

FAMILIES = ("bert", "roberta", "electra", "distilbert", "modernbert")
TOP = 3


class Attention(torch.nn.Module):
    hard_top = TOP


def states(tokens):
    generator = torch.Generator().manual_seed(tokens)
    return [torch.randn(2, 4, tokens, 8, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("tokens", [2, 3, 9])
@pytest.mark.parametrize("boolean", [True, False])
def test_the_largest_probabilities_stay_as_they_are(tokens, boolean):
    query, key, value = states(tokens)
    kept = torch.ones(2, 1, 1, tokens, dtype=torch.bool)
    kept[1, ..., tokens - 1 :] = tokens == 1
    mask = kept if boolean else (~kept).float() * torch.finfo(torch.float32).min
    context, probabilities = hard_attention(Attention().eval(), query, key, value, mask)
    usual = (query @ key.transpose(-1, -2) / 8**0.5).masked_fill(~kept, -1e30).softmax(-1)
    order = usual.argsort(dim=-1, descending=True)
    for place in range(tokens):
        chosen = order[..., place : place + 1]
        expected = usual.gather(-1, chosen) if place < TOP else torch.zeros_like(usual[..., :1])
        torch.testing.assert_close(probabilities.gather(-1, chosen), expected)
    torch.testing.assert_close(context, (probabilities @ value).transpose(1, 2))


@pytest.mark.parametrize("family", FAMILIES)
def test_for_a_while_is_for_good_is_reloaded(tiny_model, family, tmp_path):
    model = tiny_model(family).eval()
    plain = logits(model)
    with hardened(model, [0, 1], TOP):
        expected = logits(model)
    assert torch.equal(logits(model), plain)
    assert not torch.allclose(expected, plain, atol=1e-4)
    hard = with_hard_attention(model, [0, 1], TOP)
    torch.testing.assert_close(logits(hard), expected, atol=1e-5, rtol=0)
    assert plain_width(hard) is None
    assert save_model(hard, None, tmp_path) == "lean"
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(again), expected, atol=1e-5, rtol=0)
    again.config._attn_implementation = "eager"  # what training and forms choose elsewhere
    torch.testing.assert_close(logits(again), expected, atol=1e-5, rtol=0)


def test_it_goes_with_slicing_and_dropping(tiny_model):
    model = tiny_model("bert", layers=3).eval()
    masks = {(0, "head"): torch.tensor([1.0, 0, 1, 1]), (1, "head"): torch.zeros(4)}
    with hardened(slice_units(model, masks), [0, 1, 2], TOP):
        pass
    small = with_hard_attention(slice_units(model, masks), [0, 1], TOP)
    assert [EncoderView(small).hard_attention(layer) for layer in range(3)] == [TOP, None, None]
    sliced = slice_units(small, {(0, "head"): torch.tensor([1.0, 0, 1])})
    assert EncoderView(sliced).hard_attention(0) == TOP
    assert EncoderView(keep_layers(sliced, [0, 2])).hard_attention(0) == TOP


def test_the_first_token_form_is_left_out_where_the_last_layer_is_hard(tiny_model):
    model = tiny_model("bert")
    assert "first-token" in forms_for(with_hard_attention(model, [0], TOP).config)
    assert "first-token" not in forms_for(with_hard_attention(model, [1], TOP).config)


def test_a_family_whose_attention_is_in_one_piece_is_refused(tiny_model):
    model = tiny_model("mpnet")
    with pytest.raises(ModelError, match="attention of mpnet can not be made hard"):
        with_hard_attention(model, [0])
    with pytest.raises(ModelError, match="attention of mpnet"), hardened(model, [0]):
        pass


@pytest.mark.parametrize("family", ["bert", pytest.param("modernbert", marks=pytest.mark.thorough)])
def test_it_is_exported(tiny_model, tiny_tokenizer, family, tmp_path):
    """The exporter proves parity by itself, in several batch sizes and lengths, shorter than `TOP` and longer."""
    save_model(with_hard_attention(tiny_model(family), [0, 1], 8), tiny_tokenizer, tmp_path / "model")
    assert export_onnx(tmp_path / "model", tmp_path).max_difference < 1e-5


def test_what_was_hard_before_is_so_again(tiny_model):
    hard = with_hard_attention(tiny_model("bert"), [0], TOP).eval()
    expected = logits(hard)
    with hardened(hard, [0, 1], 1):
        assert not torch.allclose(logits(hard), expected, atol=1e-4)
    assert torch.equal(logits(hard), expected)
