"""A chain of parts == the PyTorch model with early exits, in both runtimes, and what serves it needs no PyTorch."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from leanformer.encoders.carried_exits import normalised_entropy
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.layout import parts
from leanformer.export.runtimes import arrays, load_runner, predict_with
from leanformer.runtime.cascade import Cascade
from leanformer.structure.exits import answers_between, set_policy, with_exits
from leanformer.structure.tokens import with_kept_tokens
from leanformer.tasks.encode import batches
from leanformer.tasks.predict import predict

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}
CASES = [
    ("bert", "onnx", "learned"),
    ("bert", "openvino", "learned"),
    pytest.param("bert", "openvino", "entropy", marks=pytest.mark.thorough),
    pytest.param("mpnet", "onnx", "patience", marks=pytest.mark.thorough),
    pytest.param("distilbert", "onnx", "entropy", marks=pytest.mark.slow),
    pytest.param("mpnet", "openvino", "entropy", marks=pytest.mark.slow),
]


def leaving(model, policy, encoded, tokenizer):
    """Set a policy by which about half of the texts leave at the first exit."""
    _, batch = next(batches(encoded, tokenizer, len(encoded)))
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    with torch.no_grad():
        states = model(**inputs, output_hidden_states=True).hidden_states
        logits, wrong = answers_between(model, states, inputs["attention_mask"])[0]
    unsure = (wrong if policy == "learned" else normalised_entropy(logits)).sort().values
    middle = float(unsure[len(unsure) // 2 - 1 :][:2].mean())
    set_policy(model, policy, 1 if policy == "patience" else middle)
    return model


@pytest.mark.parametrize(("family", "name", "policy"), CASES)
def test_the_chain_is_the_model(family, name, policy, tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    model = with_exits(tiny_model(family, layers=4).eval(), [0, 1, 2], size=16, judges=policy == "learned")
    leaving(model, policy, encoded_texts, tiny_tokenizer)
    save_model(model, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts)
    assert exported.max_difference <= 1e-5
    assert len([path for path in parts(exported.path) if path.suffix == exported.path.suffix]) == 4
    runner = load_runner(tmp_path, exported.runtime, threads=1)
    expected = predict(model, encoded_texts, tiny_tokenizer)
    for batch_size in (1, 5, len(encoded_texts)):
        answer = predict_with(runner, encoded_texts, tiny_tokenizer, batch_size=batch_size)
        np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert (
        policy == "patience" or len(set(runner.cascade.layers.tolist())) > 1
    )  # untrained exits may disagree
    assert runner.cascade.layers.tolist() == used(model, encoded_texts, tiny_tokenizer)
    runner.cascade.threshold = 99.0 if policy == "patience" else 0.0  # nobody leaves: the whole model
    set_policy(model, "", 0.0)
    whole = predict(model, encoded_texts, tiny_tokenizer)
    np.testing.assert_allclose(predict_with(runner, encoded_texts, tiny_tokenizer), whole, atol=1e-5)


def used(model, encoded, tokenizer):
    """Layers that each text of one batch uses, in the order of the batch."""
    _, batch = next(batches(encoded, tokenizer, len(encoded)))
    with torch.no_grad():
        model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
    return EncoderView(model).encoder().leaving.layers.tolist()


def test_serving_needs_numpy_and_a_runtime_only(tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    model = with_exits(tiny_model("bert", layers=2).eval(), [0], size=16)
    leaving(model, "entropy", encoded_texts, tiny_tokenizer)
    save_model(model, tiny_tokenizer, tmp_path / "model")
    first = export_onnx(tmp_path / "model", tmp_path, encoded_texts).path
    _, batch = next(batches(encoded_texts, tiny_tokenizer, 4))
    np.savez(tmp_path / "batch.npz", **arrays(batch))
    code = (
        "import sys, json, numpy; from leanformer.runtime import Cascade\n"
        "cascade = Cascade(sys.argv[1], threads=1); batch = dict(numpy.load(sys.argv[2]))\n"
        "logits = cascade(batch); heavy = {'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
        "print(json.dumps([logits.tolist(), cascade.layers.tolist(), sorted(heavy)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, first, tmp_path / "batch.npz"],
        capture_output=True,
        text=True,
        check=True,
    )
    logits, layers, heavy = json.loads(done.stdout)
    assert heavy == []
    np.testing.assert_allclose(logits, Cascade(first, threads=1)(arrays(batch)), atol=1e-6)
    assert set(layers) <= {1, 2}
    with pytest.raises(FileNotFoundError, match="no chain of parts"):
        Cascade(tmp_path / "model" / "model.onnx")


def test_tokens_and_texts_do_not_leave_one_file(tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    model = with_kept_tokens(with_exits(tiny_model("bert").eval(), [0], size=16), [0.5, 0.5])
    set_policy(model, "entropy", 0.5)
    save_model(model, tiny_tokenizer, tmp_path / "model")
    with pytest.raises(ModelError, match="runs in PyTorch only"):
        export_onnx(tmp_path / "model", tmp_path, encoded_texts)
    with pytest.raises(ModelError, match="leave first-token out"):
        export_onnx(tmp_path / "model", tmp_path, encoded_texts, "first-token")
