"""NNCF's quantisation for OpenVINO, from file to file."""

import numpy as np
import pytest
import torch
from test_quantise import openvino_int8_weights

from leanformer.encoders.saving import save_model
from leanformer.export.cpu import Cpu
from leanformer.export.exporters import export_openvino
from leanformer.export.int8_openvino import write_calibrated
from leanformer.export.quantise import quantise_openvino
from leanformer.export.runtimes import arrays, load_runner, predict_with
from leanformer.export.sublayers import sublayers
from leanformer.structure.surgery import slice_units
from leanformer.tasks.encode import batches
from leanformer.tasks.predict import predict


@pytest.fixture(scope="module")
def samples(small):
    return [arrays(batch) for _, batch in batches(small.encoded.select(range(4)), small.tokenizer, 1)]


@pytest.mark.parametrize(("flags", "bits"), [(("avx2",), 7), (("avx2", "vnni"), 8)])
def test_the_chip_decides_the_bits(small, samples, tmp_path, flags, bits):
    target = tmp_path / "int8.xml"
    note = write_calibrated(small.openvino.path, target, samples, Cpu("chip", "x86_64", flags))
    assert note == f"post-training, {bits}-bit weights, calibrated on 4 training texts"
    largest = max(abs(weight).max() for weight in openvino_int8_weights(target).values())
    assert (largest <= 64) == (bits == 7)


def test_excluded_nodes_keep_their_float_weights(small, samples, tmp_path):
    named = sublayers(small.openvino.path)[0, "neuron"]
    target, chip = tmp_path / "int8.xml", Cpu("chip", "x86_64", ("avx2", "vnni"))
    write_calibrated(small.openvino.path, target, samples, chip, named)
    found = set(openvino_int8_weights(target))
    assert found
    assert not found & set(named)


@pytest.mark.thorough
def test_a_layer_with_one_head_is_answered_rightly(tiny_model, tiny_tokenizer, encoded_texts, tmp_path):
    """OpenVINO reads SmoothQuant's scales out of bounds where they stand right behind the product of attention."""
    form = "first-token+eager-attention"
    model = slice_units(tiny_model("bert", hidden=128), {(1, "head"): torch.tensor([1.0, 0, 0, 0])})
    save_model(model, tiny_tokenizer, tmp_path / "model")
    export_openvino(tmp_path / "model", tmp_path, encoded_texts, form)
    made = quantise_openvino(
        tmp_path, encoded_texts, tiny_tokenizer, processor=Cpu("chip", "x86_64", ("vnni",)), form=form
    )
    assert "without SmoothQuant" in made.note
    runner = load_runner(tmp_path, "openvino", "int8", threads=1, form=form)
    answer = predict_with(runner, encoded_texts, tiny_tokenizer)
    np.testing.assert_allclose(
        answer, predict(model, encoded_texts, tiny_tokenizer), atol=0.5
    )  # of 2.9; it was 1.8 off
