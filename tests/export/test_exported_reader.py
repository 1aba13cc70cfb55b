"""Masked == sliced == reloaded == exported for models that answer questions; int8 goes by F1."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import torch

from leanformer.encoders.saving import save_model
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.loading import load_classifier
from leanformer.export.runtimes import load_runner, predict_with, together
from leanformer.exports import Examples, write_exports
from leanformer.structure.masks import applied
from leanformer.structure.surgery import slice_units
from leanformer.structure.tokens import with_kept_tokens
from leanformer.tasks.encode import encode
from leanformer.tasks.judged import labels_of
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import score
from leanformer.tasks.places import answers_of
from leanformer.tasks.predict import predict
from tiny import TINY_FAMILIES, build_reader

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}
MASKS = {(0, "head"): torch.tensor([1.0, 0, 1, 1]), (1, "neuron"): (torch.arange(64) % 3 > 0).float()}


@pytest.fixture
def data(squad):
    return load_data(DataSpec(str(squad)))


@pytest.fixture
def rows(data, tiny_tokenizer):
    """Validation strides of 24 tokens, some questions with two."""
    return encode(data.validation, tiny_tokenizer, 24, truncate=False)


def smaller(family):
    return slice_units(build_reader(family), MASKS)


def fewer_tokens(family):
    return with_kept_tokens(build_reader(family), (0.75, 0.4))


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_masked_is_sliced_is_reloaded(family, rows, tiny_tokenizer, tmp_path):
    dense = build_reader(family)
    with applied(dense, MASKS):
        masked = predict(dense, rows, tiny_tokenizer)
    assert np.nanmax(np.abs(masked - predict(dense, rows, tiny_tokenizer))) > 1e-3
    sliced = slice_units(dense, MASKS)
    np.testing.assert_allclose(predict(sliced, rows, tiny_tokenizer), masked, atol=1e-5)
    save_model(sliced, tiny_tokenizer, tmp_path)
    again, _ = load_classifier(tmp_path)
    np.testing.assert_allclose(predict(again, rows, tiny_tokenizer), masked, atol=1e-5)
    wanted = labels_of(rows)
    assert answers_of(predict(again, rows, tiny_tokenizer), wanted) == answers_of(masked, wanted)


@pytest.mark.parametrize(
    ("family", "make", "name"),
    [
        ("bert", smaller, "onnx"),
        ("bert", fewer_tokens, "onnx"),
        ("bert", smaller, "openvino"),
        pytest.param("distilbert", build_reader, "onnx", marks=pytest.mark.thorough),
        pytest.param("modernbert", smaller, "onnx", marks=pytest.mark.thorough),
        pytest.param("mpnet", fewer_tokens, "onnx", marks=pytest.mark.thorough),
        pytest.param("roberta", smaller, "openvino", marks=pytest.mark.thorough),
        pytest.param("bert", fewer_tokens, "openvino", marks=pytest.mark.thorough),
    ],
)
def test_exported_is_the_model(family, make, name, rows, tiny_tokenizer, tmp_path):
    model = make(family)
    save_model(model, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, rows)
    assert exported.max_difference <= 1e-5
    runner = load_runner(tmp_path, exported.runtime, threads=1)
    expected = predict(model, rows, tiny_tokenizer)
    for batch_size in (1, 7):
        found = predict_with(runner, rows, tiny_tokenizer, batch_size)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    config = json.loads((exported.path.parent / "config.json").read_text())
    assert config["architectures"] == [type(build_reader(family)).__name__]
    assert config["id2label"] == {"0": "start", "1": "end"}
    if name == "onnx":
        outputs = onnxruntime.InferenceSession(exported.path).get_outputs()
        assert [(port.name, port.shape) for port in outputs] == [
            ("start_logits", ["batch", "tokens"]),
            ("end_logits", ["batch", "tokens"]),
        ]


def test_an_export_without_data_is_proven_on_sentences(tiny_tokenizer, tmp_path):
    save_model(build_reader("bert"), tiny_tokenizer, tmp_path / "model")
    assert export_onnx(tmp_path / "model", tmp_path).max_difference <= 1e-5


def test_parts_of_an_answer_are_put_side_by_side():
    start, end = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    both = together([start, end])
    assert both.shape == (2, 3, 2)
    assert both[1, 0].tolist() == [3.0, 1.0]
    assert together([start]) is start


@pytest.mark.parametrize("folder", ["onnx", pytest.param("openvino", marks=pytest.mark.thorough)])
def test_int8_is_judged_by_answers(folder, data, rows, tiny_tokenizer, tmp_path):
    save_model(build_reader("bert"), tiny_tokenizer, tmp_path / "model")
    held_out = encode(data.train.select(range(24)), tiny_tokenizer, 24, truncate=False)
    examples = Examples(data.task, tiny_tokenizer, rows, held_out)
    exact, int8 = write_exports(tmp_path / "model", tmp_path, folder, True, examples, max_drop_points=100.0)
    assert int8["accepted"]
    assert 0 < int8["max_difference"] < 2
    model, _ = load_classifier(tmp_path / "model")
    by_torch = score("answer-f1", predict(model, rows, tiny_tokenizer), labels_of(rows))
    assert exact["score"] == pytest.approx(by_torch)
    runner = load_runner(tmp_path, exact["runtime"], "int8", threads=1)
    assert int8["score"] == score("answer-f1", predict_with(runner, rows, tiny_tokenizer), labels_of(rows))
