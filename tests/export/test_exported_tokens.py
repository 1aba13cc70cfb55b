"""Exported == PyTorch for models that drop tokens, whatever the batch, the lengths and the padding."""

import numpy as np
import pytest

from leanformer.encoders.saving import save_model
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.structure.tokens import with_kept_tokens
from leanformer.tasks.predict import predict

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}
CASES = [
    ("bert", "onnx", ""),
    pytest.param("bert", "openvino", "", marks=pytest.mark.thorough),
    pytest.param("mpnet", "onnx", "first-token", marks=pytest.mark.thorough),
    pytest.param("distilbert", "onnx", "", marks=pytest.mark.slow),
    pytest.param("mpnet", "openvino", "", marks=pytest.mark.slow),
    pytest.param("bert", "onnx", "eager-attention", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("family", "name", "form"), CASES)
def test_exported_is_the_model(family, name, form, tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    # one layer ranks its tokens by a scorer, two by attention
    lean = with_kept_tokens(tiny_model(family, layers=3), (0.75, 0.4, 0.2), scored=[1])
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts, form)
    assert exported.max_difference <= 1e-5
    runner = load_runner(tmp_path, exported.runtime, threads=1, form=form)
    expected = predict(lean, encoded_texts, tiny_tokenizer)
    for batch_size in (1, 5):
        answer = predict_with(runner, encoded_texts, tiny_tokenizer, batch_size=batch_size)
        np.testing.assert_allclose(answer, expected, atol=1e-5)
