"""Word embeddings of a lower rank: the best product == sliced == saved and reloaded == exported."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from same_answers import TOLERANCE, batch, logits, run_door
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from leanformer.encoders.saving import plain_width, save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, ModelError
from leanformer.export.exporters import export_onnx
from leanformer.structure.embeddings import factorised
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES, build_tokenizer


@pytest.fixture(params=TINY_FAMILIES)
def model(request, tiny_model):
    return tiny_model(request.param).eval()


def low_rank(model, rank):
    """Make the table exactly of a rank, so that a factorisation loses nothing."""
    weight = model.get_input_embeddings().weight
    with torch.no_grad():
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        weight.copy_((left[:, :rank] * values[:rank]) @ right[:rank])


def test_a_table_of_that_rank_loses_nothing(model):
    low_rank(model, 6)
    small = factorised(model, 6)
    torch.testing.assert_close(logits(small), logits(model), atol=1e-4, rtol=1e-4)
    assert plain_width(small) is None


def test_the_product_is_the_best_of_its_rank(tiny_model):
    model = tiny_model("bert")
    table = model.get_input_embeddings().weight.detach()
    embeddings = factorised(model, 10).get_input_embeddings()
    product = embeddings(torch.arange(len(table))).detach()
    left = torch.linalg.svdvals(table)[10:].square().sum()  # Eckart & Young
    assert float((product - table).square().sum()) == pytest.approx(float(left), rel=1e-3)


def test_sliced_and_reloaded(model, tmp_path):
    small = factorised(model, 6)
    expected = logits(small)
    view = EncoderView(small)
    mask = torch.ones(view.width(0))
    mask[:5] = 0
    sliced = slice_units(small, {(0, "neuron"): mask})
    assert tuple(sliced.get_input_embeddings().table.weight.shape)[1] == 6
    for made, wanted in ((small, expected), (sliced, logits(sliced))):
        folder = tmp_path / f"{EncoderView(made).width(0)}"
        assert save_model(made, None, folder) == "lean"
        again = AutoModelForSequenceClassification.from_pretrained(folder)
        torch.testing.assert_close(logits(again.eval()), wanted, atol=TOLERANCE, rtol=0)


@pytest.mark.thorough
def test_the_folder_brings_the_code(tiny_model, tmp_path):
    small = factorised(tiny_model("bert").eval(), 6)
    folder = tmp_path / "bert"
    save_model(small, build_tokenizer(), folder)
    (folder / "expected").mkdir()
    save_file({**batch(), "logits": logits(small)}, folder / "expected" / "batch.safetensors")
    worst, answer, _ = run_door(tmp_path, "bert", blocked=True, trust=True)["bert"]
    assert max(worst, answer) < TOLERANCE


@pytest.mark.thorough
def test_it_is_exported(tiny_model, tiny_tokenizer, tmp_path):
    """The exporter proves parity by itself."""
    save_model(factorised(tiny_model("bert"), 6), tiny_tokenizer, tmp_path / "model")
    assert export_onnx(tmp_path / "model", tmp_path).max_difference < TOLERANCE


@pytest.mark.parametrize("rank", [0, 32, 100])
def test_a_rank_that_saves_nothing_is_refused(tiny_model, rank):
    with pytest.raises(BudgetError, match="from 1 to 31"):
        factorised(tiny_model("bert"), rank)


def test_embeddings_that_are_used_twice_stay_whole(tiny_model):
    config = tiny_model("bert").config
    with pytest.raises(ModelError, match="used twice"):
        factorised(AutoModelForMaskedLM.from_config(config), 6)
    with pytest.raises(ModelError, match="factorised already"):
        factorised(factorised(tiny_model("bert"), 6), 5)
