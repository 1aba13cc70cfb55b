"""Every linear of every sub-layer is found in the graphs of both runtimes, once."""

import shutil

import numpy as np
import pytest
import torch

from leanformer.encoders.saving import save_model
from leanformer.errors import ModelError
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.sublayers import module_names, nodes_of, sublayers

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}


@pytest.mark.thorough
@pytest.mark.parametrize("family", ["modernbert"])  # lean ones: tests/export/test_exported_equivalence.py
def test_every_linear_of_a_dense_model_is_found_once(
    family, tiny_model, tiny_tokenizer, tmp_path, linears_of
):
    model = tiny_model(family)
    save_model(model, tiny_tokenizer, tmp_path / "model")
    wanted = linears_of(model)
    assert set(wanted) == {(0, "head"), (0, "neuron"), (1, "head"), (1, "neuron")}
    for export in EXPORTERS.values():
        found = sublayers(export(tmp_path / "model", tmp_path).path)
        assert {key: set(nodes) for key, nodes in found.items()} == wanted
        names = [name for nodes in found.values() for name in nodes]
        assert len(names) == len(set(names))


def test_equal_weights_are_named_in_order_and_others_not_at_all(tiny_model):
    model = tiny_model("bert", layers=1)
    first, second = model.bert.encoder.layer[0].attention.self.query, model.bert.pooler.dense
    with torch.no_grad():
        second.weight.copy_(first.weight)
    weight = first.weight.detach().numpy()
    names = module_names(model, [weight, weight.T, weight, np.ones((32, 32), np.float32)])
    assert names == ["bert.encoder.layer.0.attention.self.query", "bert.pooler.dense", None, None]


def test_a_sublayer_that_is_not_there_is_refused(small):
    nodes = sublayers(small.onnx.path)
    assert list(nodes) == [(0, "head"), (0, "neuron"), (1, "head"), (1, "neuron")]
    assert len(nodes_of(nodes, [(1, "neuron"), (0, "head")], small.onnx.path)) == 6
    with pytest.raises(ModelError, match=r"no sub-layer '2 head': choose among 0 head, 0 neuron, 1 head"):
        nodes_of(nodes, [(2, "head")], small.onnx.path)


def test_a_foreign_file_says_that_its_nodes_have_no_names(small, tmp_path):
    import onnx

    shutil.copytree(small.onnx.path.parent, tmp_path / "onnx")
    path = tmp_path / "onnx" / "model.onnx"
    graph = onnx.load(path)
    for number, node in enumerate(graph.graph.node):
        node.name = f"node_{number}"
    onnx.save(graph, path)
    with pytest.raises(ModelError, match="export the model again"):
        sublayers(path)
