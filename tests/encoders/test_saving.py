from __future__ import annotations

import json

import pytest
import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from leanformer.encoders.saving import as_plain, plain_width, save_model
from leanformer.structure.surgery import slice_units

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "modernbert")
HALF = torch.tensor([1.0, 0] * 32)
UNIFORM = {(0, "neuron"): HALF, (1, "neuron"): 1 - HALF}
TOKENS = torch.arange(5, 15).view(2, 5)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_width_is_saved_with_the_stock_class(tiny_model, family, tmp_path):
    model = tiny_model(family)
    small = slice_units(model, UNIFORM)
    assert plain_width(small) == 32
    assert save_model(small, None, tmp_path) == "plain"
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [type(model).__name__]
    assert config["model_type"] == family
    assert not {"auto_map", "per_layer_config"} & set(config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(reloaded) is type(model)
    expected = small(input_ids=TOKENS).logits
    torch.testing.assert_close(reloaded(input_ids=TOKENS).logits, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "masks",
    [
        {(0, "neuron"): HALF},
        {(0, "head"): torch.tensor([0.0, 1, 1, 1]), (1, "head"): torch.tensor([0.0, 1, 1, 1])},
        {(0, "neuron"): torch.zeros(64), (1, "neuron"): torch.zeros(64)},
    ],
    ids=["two widths", "fewer heads", "no neurons"],
)
def test_other_shapes_are_saved_lean(tiny_model, masks, tmp_path):
    small = slice_units(tiny_model("bert"), masks)
    assert plain_width(small) is None
    with pytest.raises(ValueError, match="differ in shape"):
        as_plain(small)
    assert save_model(small, None, tmp_path) == "lean"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "carried.py",
        "carried_attention.py",
        "carried_encoder.py",
        "carried_exits.py",
        "carried_factors.py",
        "carried_merging.py",
        "carried_tokens.py",
        "config.json",
        "model.safetensors",
    ]
    assert type(AutoModelForSequenceClassification.from_pretrained(tmp_path)) is type(small)


def test_nothing_removed_is_plain(tiny_model, tmp_path):
    model = tiny_model("bert")
    assert save_model(slice_units(model, {}), None, tmp_path) == "plain"
    assert type(AutoModelForSequenceClassification.from_pretrained(tmp_path)) is type(model)


@pytest.mark.parametrize("masks", [{}, {(0, "neuron"): HALF}], ids=["plain", "lean"])
def test_labels_and_tokenizer_are_saved(tiny_model, tiny_tokenizer, masks, tmp_path):
    model = tiny_model("bert", num_labels=3)
    model.config.id2label = {0: "no", 1: "maybe", 2: "yes"}
    model.config.label2id = {"no": 0, "maybe": 1, "yes": 2}
    save_model(slice_units(model, masks), tiny_tokenizer, tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert config.label2id == {"no": 0, "maybe": 1, "yes": 2}
    text = "a good film with a bad plot"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == tiny_tokenizer(text)["input_ids"]


def test_a_lean_model_saves_its_code_by_any_way_of_saving(tiny_model, tmp_path):
    slice_units(tiny_model("bert"), {(0, "neuron"): HALF}).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (tmp_path / "carried.py").exists()
    assert config["auto_map"]["AutoConfig"] == "carried.LeanBertConfig"
    assert (
        config["auto_map"]["AutoModelForSequenceClassification"]
        == "carried.LeanBertForSequenceClassification"
    )
