"""NNCF's quantisation for OpenVINO, from file to file."""

import pytest
from test_quantise import openvino_int8_weights

from leanformer.export.cpu import Cpu
from leanformer.export.int8_openvino import write_calibrated
from leanformer.export.runtimes import arrays
from leanformer.export.sublayers import sublayers
from leanformer.tasks.encode import batches


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
