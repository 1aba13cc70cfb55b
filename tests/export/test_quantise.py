import shutil

import numpy as np
import pytest

from leanformer.errors import DataError, ModelError
from leanformer.export.cpu import Cpu
from leanformer.export.exporters import export_onnx
from leanformer.export.layout import artefact
from leanformer.export.quantise import quantise_onnx, quantise_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.variants import ensure_artefact
from leanformer.tasks.predict import predict

OLD_CHIP = Cpu("old", "x86_64", ("avx2",))
NEW_CHIP = Cpu("new", "x86_64", ("avx2", "vnni"))


@pytest.fixture(scope="module")
def copied(small, tmp_path_factory):
    """The exported folders, to quantise in."""
    out = tmp_path_factory.mktemp("int8")
    for name in ("onnx", "openvino"):
        shutil.copytree(small.out / name, out / name)
    return out


def check(small, copied, quantised, fp32):
    assert quantised.path.is_file()
    assert quantised.size_mb < 0.5 * fp32.size_mb
    assert not list(copied.glob(".*"))
    runner = load_runner(copied, quantised.runtime, "int8", threads=1)
    answer = predict_with(runner, small.encoded, small.tokenizer)
    expected = predict(small.model, small.encoded, small.tokenizer)
    difference = np.abs(answer - expected).max()
    assert 1e-6 < difference < 0.25 * np.ptp(expected)  # rounded, and not noise


def test_onnx_int8(small, copied):
    quantised = quantise_onnx(copied, NEW_CHIP)
    assert "8-bit weights (x86_64: avx2, vnni)" in quantised.note
    check(small, copied, quantised, small.onnx)


def test_openvino_int8(small, copied):
    quantised = quantise_openvino(copied, small.encoded, small.tokenizer, rows=8)
    assert quantised.note == "post-training, calibrated on 8 training texts"
    check(small, copied, quantised, small.openvino)


def test_without_vnni_weights_get_seven_bits(small, copied):
    import onnx

    quantised = quantise_onnx(copied, OLD_CHIP)
    assert "7-bit weights (x86_64: avx2)" in quantised.note
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(quantised.path).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
    ]
    assert max(int(np.abs(weight.astype(np.int64)).max()) for weight in weights) <= 64


def test_int8_needs_fp32_first(tmp_path):
    with pytest.raises(ModelError, match=r"no model.onnx"):
        quantise_onnx(tmp_path)


def test_calibration_needs_texts(small, copied):
    with pytest.raises(DataError, match="there are none"):
        quantise_openvino(copied, small.encoded.select([]), small.tokenizer)


def test_a_new_export_removes_the_old_int8(small, copied, untraced):
    quantise_onnx(copied, NEW_CHIP)
    (copied / "onnx" / "notes.txt").write_text("the user's own")
    export_onnx(small.folder, copied)
    assert not artefact(copied, "onnxruntime", "int8").exists()
    assert artefact(copied, "onnxruntime", "fp32").is_file()
    assert (copied / "onnx" / "notes.txt").is_file()


def test_missing_variants_are_made_once(small, copied):
    arguments = (small.folder, copied, "onnxruntime", "int8", small.tokenizer)
    artefact(copied, "onnxruntime", "int8").unlink(missing_ok=True)
    path = ensure_artefact(*arguments)
    made = path.stat().st_mtime_ns
    assert ensure_artefact(*arguments).stat().st_mtime_ns == made


def test_openvino_int8_is_not_made_without_training_texts(small, tmp_path):
    shutil.copytree(small.out / "openvino", tmp_path / "openvino")
    with pytest.raises(DataError, match="give training data"):
        ensure_artefact(small.folder, tmp_path, "openvino", "int8", small.tokenizer)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_failing_quantisation_is_one_sentence(small, copied, runtime, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no such operator\nand a long story")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", fail)
    monkeypatch.setattr("nncf.quantize", fail)
    artefact(copied, runtime, "int8").unlink(missing_ok=True)
    with pytest.raises(ModelError, match=rf"can not be quantised for {runtime}: no such operator$"):
        quantise_onnx(copied) if runtime == "onnxruntime" else quantise_openvino(
            copied, small.encoded, small.tokenizer, rows=2
        )
    assert not artefact(copied, runtime, "int8").exists()
