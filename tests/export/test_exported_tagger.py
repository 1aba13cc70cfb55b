"""Exported == PyTorch for models that answer for words: dense, smaller, with fewer tokens; int8 goes by spans."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from leanformer.assess import evaluate
from leanformer.encoders.saving import save_model
from leanformer.errors import ModelError
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.loading import load_classifier
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.exports import Examples, write_exports
from leanformer.reading import Reading
from leanformer.structure.surgery import slice_units
from leanformer.structure.tokens import with_kept_tokens
from leanformer.tasks.encode import encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.predict import predict
from tiny import MAX_TOKENS, build_tagger

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}


def dense(family):
    return build_tagger(family)


def smaller(family):
    return slice_units(
        build_tagger(family), {(0, "head"): torch.tensor([1.0, 0, 1, 1]), (1, "neuron"): torch.zeros(64)}
    )


def fewer_tokens(family):
    return with_kept_tokens(build_tagger(family), (0.75, 0.4))


@pytest.fixture
def data(tagged):
    return load_data(DataSpec(str(tagged)))


@pytest.mark.parametrize(
    ("family", "make", "name"),
    [
        ("bert", smaller, "onnx"),
        ("bert", fewer_tokens, "onnx"),
        ("bert", smaller, "openvino"),
        pytest.param("distilbert", dense, "onnx", marks=pytest.mark.thorough),
        pytest.param("modernbert", smaller, "onnx", marks=pytest.mark.thorough),
        pytest.param("mpnet", fewer_tokens, "onnx", marks=pytest.mark.thorough),
        pytest.param("bert", fewer_tokens, "openvino", marks=pytest.mark.thorough),
    ],
)
def test_exported_is_the_model(family, make, name, data, tiny_tokenizer, tmp_path):
    model = make(family)
    save_model(model, tiny_tokenizer, tmp_path / "model")
    rows = encode(data.validation, tiny_tokenizer, MAX_TOKENS, truncate=False)
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, rows)
    assert exported.max_difference <= 1e-5
    runner = load_runner(tmp_path, exported.runtime, threads=1)
    expected = predict(model, rows, tiny_tokenizer)
    for batch_size in (1, 7):
        np.testing.assert_allclose(
            predict_with(runner, rows, tiny_tokenizer, batch_size), expected, atol=1e-5
        )
    config = json.loads((exported.path.parent / "config.json").read_text())
    assert config["architectures"] == [f"{type(build_tagger(family)).__name__}"]


def test_the_exported_file_is_scored_as_the_model_is(tagged, data, tiny_tokenizer, tmp_path):
    save_model(build_tagger("bert"), tiny_tokenizer, tmp_path / "model")
    model, _ = load_classifier(tmp_path / "model")
    with torch.no_grad():  # a head whose labels bear the names of the data, in another order
        model.config.id2label = dict(enumerate(reversed(data.task.labels)))
        model.config.label2id = {label: index for index, label in model.config.id2label.items()}
    save_model(model, tiny_tokenizer, tmp_path / "named")
    export_onnx(tmp_path / "named", tmp_path)
    reading = Reading(DataSpec(str(tagged)), threads=1)
    one, other = (evaluate(str(tmp_path / name), reading) for name in ("named", "onnx"))
    assert one.extra == pytest.approx(other.extra)
    assert one.extra["token-accuracy"] > 0
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "train.csv").write_text("text,label\n" + "good,a\nbad,b\n" * 20)
    with pytest.raises(ModelError, match="no head for a classification task"):
        evaluate(str(tmp_path / "onnx"), Reading(DataSpec(str(texts)), threads=1))


@pytest.mark.parametrize("folder", ["onnx", pytest.param("openvino", marks=pytest.mark.thorough)])
def test_int8_is_judged_by_spans(folder, data, tiny_tokenizer, tmp_path):
    save_model(build_tagger("bert"), tiny_tokenizer, tmp_path / "model")
    rows, held_out = (
        encode(part, tiny_tokenizer, MAX_TOKENS, truncate=False)
        for part in (data.validation, data.train.select(range(40)))
    )
    examples = Examples(data.task, tiny_tokenizer, rows, held_out)
    exact, int8 = write_exports(tmp_path / "model", tmp_path, folder, True, examples, max_drop_points=100.0)
    assert int8["accepted"]
    assert np.isfinite([exact["score"], int8["score"]]).all()
    assert 0 < int8["max_difference"] < 2
