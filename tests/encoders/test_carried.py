from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
import torch

from leanformer.encoders import (
    carried,
    carried_attention,
    carried_encoder,
    carried_exits,
    carried_factors,
    carried_merging,
    carried_tokens,
)
from leanformer.encoders.lean import config_for, lean_class_for
from leanformer.structure.surgery import slice_units

SHAPES = {
    0: {"num_attention_heads": 1, "intermediate_size": 10},
    1: {"num_attention_heads": 0, "intermediate_size": 0},
}


PARTS = (
    carried_attention,
    carried_encoder,
    carried_exits,
    carried_factors,
    carried_merging,
    carried_tokens,
)


@pytest.mark.parametrize("module", [carried, *PARTS])
def test_what_is_carried_imports_torch_transformers_and_itself_only(module):
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported = {name.split(".")[0] for name in [*plain, *(node.module for node in froms if not node.level)]}
    assert imported - set(sys.stdlib_module_names) <= {"torch", "transformers"}
    allowed = {part.__name__.rpartition(".")[2] for part in PARTS}
    assert {node.module for node in froms if node.level} <= allowed


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "mpnet", "modernbert"])
def test_a_configuration_survives_the_disk(tiny_model, family, tmp_path):
    model = tiny_model(family)
    config_class = carried.LEAN_CLASSES[family]["AutoConfig"]
    config = config_for(lean_class_for(model), model.config, per_layer_config=SHAPES)
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == f"leanformer-{family}"
    assert saved["per_layer_config"] == {str(layer): sizes for layer, sizes in SHAPES.items()}
    loaded = config_class.from_pretrained(tmp_path)
    assert (loaded.num_attention_heads, loaded.intermediate_size) == (4, 64)
    found = [(layer.num_attention_heads, layer.intermediate_size) for layer in loaded.per_layer_config]
    assert found == [(1, 10), (0, 0)]


def test_only_bias_gives_the_bias_for_every_token():
    linear = torch.nn.Linear(6, 3)
    left = carried_attention.OnlyBias(linear)
    left.load_state_dict({"bias": linear.bias})
    expected = linear(torch.zeros(2, 5, 6))
    assert torch.equal(left(torch.randn(2, 5, 4)), expected)
    without_bias = carried_attention.OnlyBias(torch.nn.Linear(6, 3, bias=False))
    assert torch.equal(without_bias(torch.randn(2, 5, 4)), torch.zeros(2, 5, 3))


def test_attention_modules_know_their_number_of_heads(tiny_model):
    small = slice_units(tiny_model("bert"), {(0, "head"): torch.tensor([1.0, 0, 0, 1])})
    attention = small.bert.encoder.layer[0].attention.self
    assert (attention.num_attention_heads, attention.all_head_size, attention.attention_head_size) == (
        2,
        16,
        8,
    )


def test_mpnet_layers_pick_their_columns_of_the_shared_table(tiny_model):
    small = slice_units(tiny_model("mpnet"), {(1, "head"): torch.tensor([0.0, 0, 1, 1])})
    assert small.mpnet.encoder.relative_attention_bias.weight.shape[1] == 4
    assert small.mpnet.encoder.layer[1].attention.attn.kept_heads == [2, 3]
    smaller = slice_units(small, {(1, "head"): torch.tensor([0.0, 1])})
    assert smaller.mpnet.encoder.layer[1].attention.attn.kept_heads == [3]
