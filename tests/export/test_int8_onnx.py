"""ONNX Runtime's two quantisations, from file to file."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from leanformer.export.cpu import Cpu
from leanformer.export.int8_onnx import weight_bits, write_dynamic, write_static
from leanformer.export.runtimes import arrays
from leanformer.export.sublayers import sublayers
from leanformer.tasks.encode import batches

OLD, NEW = (Cpu("chip", "x86_64", flags) for flags in (("avx2",), ("avx2", "vnni")))
PHONE = Cpu("phone", "aarch64", ())


def byte_weights(path):
    """The int8 matrices of a file, by name."""
    tensors = onnx.load(path).graph.initializer
    found = {
        one.name: numpy_helper.to_array(one) for one in tensors if one.data_type == onnx.TensorProto.INT8
    }
    return {name: weight.astype(int) for name, weight in found.items() if weight.ndim == 2}


def test_only_an_x86_chip_without_vnni_loses_a_bit():
    assert [weight_bits(chip) for chip in (OLD, NEW, PHONE)] == [7, 8, 8]


@pytest.mark.parametrize(("chip", "largest"), [(OLD, 64), (NEW, 127)])
def test_dynamic_weights_use_their_bits_and_leave_no_copy(small, tmp_path, chip, largest):
    target = tmp_path / "int8.onnx"
    note = write_dynamic(small.onnx.path, target, chip)
    assert note == f"dynamic, per channel, {weight_bits(chip)}-bit weights"
    assert max(np.abs(weight).max() for weight in byte_weights(target).values()) == largest
    assert list(tmp_path.iterdir()) == [target]


def test_excluded_nodes_keep_their_float_weights(small, tmp_path):
    nodes = sublayers(small.onnx.path)[0, "neuron"]
    plain, spared = tmp_path / "plain-int8.onnx", tmp_path / "spared.onnx"
    write_dynamic(small.onnx.path, plain, NEW)
    write_dynamic(small.onnx.path, spared, NEW, nodes)
    assert len(byte_weights(plain)) - len(byte_weights(spared)) == len(nodes) == 2


def test_static_says_how_it_was_calibrated(small, tmp_path):
    samples = [arrays(batch) for _, batch in batches(small.encoded.select(range(3)), small.tokenizer, 1)]
    note = write_static(small.onnx.path, tmp_path / "static.onnx", samples, PHONE)
    assert note == ("static, per channel, 8-bit weights, signed activations calibrated on 3 training texts")
    assert byte_weights(tmp_path / "static.onnx")


def operators_run(path, tmp_path):
    """The operators that ONNX Runtime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}


@pytest.mark.parametrize("name", ["dynamic", "static"])
def test_residual_sums_and_norms_stay_apart(name, small, tmp_path):
    target = tmp_path / "int8.onnx"
    if name == "dynamic":
        write_dynamic(small.onnx.path, target, NEW)
    else:
        samples = [arrays(batch) for _, batch in batches(small.encoded.select(range(3)), small.tokenizer, 1)]
        write_static(small.onnx.path, target, samples, NEW)
    run = operators_run(target, tmp_path)
    assert "LayerNormalization" in run
    assert "SkipLayerNormalization" not in run


def test_the_passing_copy_goes_also_when_quantising_fails(small, tmp_path, monkeypatch):
    def fail(*given, **named):
        raise RuntimeError("no")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", fail)
    with pytest.raises(RuntimeError, match="no"):
        write_dynamic(small.onnx.path, tmp_path / "int8.onnx", NEW)
    assert not list(tmp_path.iterdir())
