"""Linears as products: full rank loses nothing; gated == kept == saved and reloaded == exported."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from same_answers import TOLERANCE, batch, logits, run_door
from transformers import AutoModelForSequenceClassification

from leanformer.encoders.saving import plain_width, save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.export.exporters import export_onnx
from leanformer.structure.low_rank import (
    factorised_linears,
    keep_ranks,
    named_linears,
    neutral_rank,
    ranks_gated,
)
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES, build_tokenizer


@pytest.fixture(params=TINY_FAMILIES)
def model(request, tiny_model):
    return tiny_model(request.param).eval()


def ranks_of(model, share=1.0):
    """A share of each linear's full rank."""
    linears = named_linears(EncoderView(model))
    return {key: max(1, int(share * min(linear.weight.shape))) for key, linear in linears.items()}


def random_gates(model):
    generator = torch.Generator().manual_seed(0)
    ranks = {key: linear.rank for key, linear in named_linears(EncoderView(model)).items()}
    gates = {key: torch.rand(rank, generator=generator) for key, rank in ranks.items()}
    return {key: torch.where(gate > 0.4, gate, 0.0) for key, gate in gates.items()}


def test_full_rank_loses_nothing(model):
    small = factorised_linears(model, ranks_of(model))
    torch.testing.assert_close(logits(small), logits(model), atol=1e-4, rtol=1e-4)
    assert plain_width(small) is None


def test_a_low_rank_is_the_best_one(tiny_model):
    model = tiny_model("bert")
    small = factorised_linears(model, {(0, "ffn_in"): 5})
    dense, product = (
        model.bert.encoder.layer[0].intermediate.dense,
        small.bert.encoder.layer[0].intermediate.dense,
    )
    left = torch.linalg.svdvals(dense.weight.detach())[5:].square().sum()
    assert float((product.weight - dense.weight).detach().square().sum()) == pytest.approx(
        float(left), rel=1e-3
    )
    assert EncoderView(small).ranks(0) == {"ffn_in": 5}
    assert EncoderView(small).ranks(1) == {}
    assert torch.equal(product.bias, dense.bias)


def test_gated_is_kept_is_reloaded(model, tmp_path):
    small = factorised_linears(model, ranks_of(model, 0.6))
    gates = random_gates(small)
    plain = logits(small)
    with ranks_gated(EncoderView(small), {key: (lambda gate=gate: gate) for key, gate in gates.items()}):
        expected = logits(small)
    assert torch.equal(logits(small), plain)
    assert not torch.allclose(plain, expected, atol=1e-5)
    kept = keep_ranks(small, gates)
    torch.testing.assert_close(logits(kept), expected, atol=TOLERANCE, rtol=1e-4)
    for (layer, name), gate in gates.items():
        assert EncoderView(kept).ranks(layer)[name] == max(1, int((gate != 0).sum()))
    assert save_model(kept, None, tmp_path / "kept") == "lean"
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "kept").eval()
    torch.testing.assert_close(logits(again), logits(kept), atol=TOLERANCE, rtol=0)


def test_a_linear_without_any_rank_is_its_bias(tiny_model):
    model = tiny_model("bert").eval()
    small = factorised_linears(model, {(1, "ffn_out"): 4})
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight.zero_()
    empty = keep_ranks(small, {(1, "ffn_out"): torch.zeros(4)})
    torch.testing.assert_close(logits(empty), logits(model), atol=TOLERANCE, rtol=0)


def test_pruned_by_units_first(tiny_model):
    model = tiny_model("bert").eval()
    masks = {(0, "head"): torch.zeros(4), (1, "neuron"): torch.tensor([1.0, 0.0] * 32)}
    lean = slice_units(model, masks)
    small = factorised_linears(lean, ranks_of(lean))
    torch.testing.assert_close(logits(small), logits(lean), atol=1e-4, rtol=1e-4)
    with pytest.raises(ModelError, match="prune it before its ranks"):
        slice_units(small, {(1, "head"): torch.tensor([1.0, 0.0, 1.0, 1.0])})


@pytest.mark.thorough
def test_the_folder_brings_the_code_and_it_is_exported(tiny_model, tmp_path):
    small = factorised_linears(tiny_model("bert").eval(), {(0, "query"): 3, (1, "ffn_in"): 7})
    folder = tmp_path / "bert"
    save_model(small, build_tokenizer(), folder)
    assert export_onnx(folder, tmp_path).max_difference < TOLERANCE
    (folder / "expected").mkdir()
    save_file({**batch(), "logits": logits(small)}, folder / "expected" / "batch.safetensors")
    worst, answer, _ = run_door(tmp_path, "bert", blocked=True, trust=True)["bert"]
    assert max(worst, answer) < TOLERANCE


def test_a_neutral_rank_has_no_more_weights(tiny_model):
    for linear in named_linears(EncoderView(tiny_model("bert"))).values():
        rank = neutral_rank(linear)
        size = linear.in_features + linear.out_features
        assert rank * size <= linear.weight.numel() < (rank + 1) * size


@pytest.mark.parametrize("ranks", [{(0, "nothing"): 2}, {(0, "query"): 0}, {(0, "query"): 33}])
def test_what_is_no_rank_is_refused(tiny_model, ranks):
    with pytest.raises(ValueError, match="There is no linear"):
        factorised_linears(tiny_model("bert"), ranks)
