"""Exported == PyTorch for models that drop tokens, whatever the batch, the lengths and the padding."""

import numpy as np
import pytest
import torch

from leanformer.encoders.saving import save_model
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.runtimes import arrays, load_runner, predict_with
from leanformer.structure.tokens import with_kept_tokens
from leanformer.tasks.predict import predict
from tiny import build_embedder, padded_texts

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


@pytest.mark.parametrize("name", ["onnx", pytest.param("openvino", marks=pytest.mark.thorough)])
def test_tokens_may_leave_at_one_place_alone(name, tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    """Then the lengths of texts are read once: OpenVINO fuses a sum with what is computed of it, wrongly."""
    lean = with_kept_tokens(tiny_model("bert", layers=3), (0.4, 0.4, 0.4))
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    assert EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts).max_difference <= 1e-5


MERGING = [
    ("bert", "onnx"),
    pytest.param("bert", "openvino", marks=pytest.mark.thorough),
    pytest.param("mpnet", "onnx", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("family", "name"), MERGING)
def test_exported_embeddings_with_merged_tokens(family, name, tiny_tokenizer, encoded_texts, tmp_path):
    lean = with_kept_tokens(build_embedder(family, layers=3), (0.75, 0.4, 0.2), merges=True)
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts)
    assert exported.max_difference <= 1e-5
    runner = load_runner(tmp_path, exported.runtime, threads=1)
    expected = predict(lean, encoded_texts, tiny_tokenizer)
    assert expected.shape == (len(encoded_texts), 32)
    for batch_size in (1, 5):
        answer = predict_with(runner, encoded_texts, tiny_tokenizer, batch_size=batch_size)
        np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_exported_embeddings_of_short_texts(length, tiny_tokenizer, encoded_texts, tmp_path):
    lean = with_kept_tokens(build_embedder("bert", layers=3), (0.5, 0.25, 0.125), merges=True)
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path, encoded_texts)
    runner = load_runner(tmp_path, "onnxruntime", threads=1)
    batch = padded_texts([length])
    batch["token_type_ids"] = batch["input_ids"] * 0
    with torch.no_grad():
        expected = lean(**batch).logits.numpy()
    np.testing.assert_allclose(runner(arrays(batch)), expected, atol=1e-5)
