"""Exported == sliced for models whose heads have lost dimensions, in the plain and in the first-token form."""

import numpy as np
import onnx
import pytest

from dimensions import dimension_masks
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sublayers import sublayers
from leanformer.structure.surgery import slice_units
from leanformer.tasks.predict import predict

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}
# by name, with the output inside attention, with a position bias, fused and rotary; roberta and electra are as bert
THOROUGH = [("mpnet", "onnx", ""), ("modernbert", "onnx", "first-token"), ("bert", "openvino", "")]
SLOW = [("modernbert", "onnx", ""), ("mpnet", "onnx", "first-token")]
SLOW += [("distilbert", "onnx", form) for form in ("", "first-token")]
SLOW += [("bert", "onnx", "eager-attention"), ("bert", "openvino", "first-token")]
SLOW += [("modernbert", "openvino", ""), ("mpnet", "openvino", "")]
CASES = [
    ("bert", "onnx", ""),
    *(pytest.param(*case, marks=pytest.mark.thorough) for case in THOROUGH),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW),
]


@pytest.mark.parametrize(("family", "name", "form"), CASES)
def test_exported_is_sliced_and_every_linear_is_found_once(
    family, name, form, tiny_model, tiny_tokenizer, encoded_texts, linears_of, tmp_path
):
    dense = tiny_model(family)
    lean = slice_units(dense, dimension_masks(EncoderView(dense), "all kinds of heads"))
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts, form)
    assert exported.max_difference <= 1e-5
    if name == "onnx":  # what makes PyTorch fast is not in the file
        assert not [node for node in onnx.load(exported.path).graph.node if node.op_type == "Pad"]
    runner = load_runner(tmp_path, exported.runtime, threads=1, form=form)
    answer = predict_with(runner, encoded_texts, tiny_tokenizer, batch_size=5)
    expected = predict(lean, encoded_texts, tiny_tokenizer)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    if form != "first-token":
        assert {key: set(nodes) for key, nodes in sublayers(exported.path).items()} == linears_of(lean)


@pytest.mark.thorough
def test_a_layer_without_any_query_is_exported(tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    """Its queries and keys are equal, zeros, so that an exporter may make them one."""
    dense = tiny_model("bert")
    lean = slice_units(dense, dimension_masks(EncoderView(dense), "no queries"))
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    exported = export_onnx(tmp_path / "model", tmp_path, encoded_texts)
    assert exported.max_difference <= 1e-5
    assert set(sublayers(exported.path)) == {(layer, kind) for layer in (0, 1) for kind in ("head", "neuron")}
