import shutil

import numpy as np
import pytest

from leanformer.errors import DataError, ModelError
from leanformer.export.cpu import Cpu
from leanformer.export.exporters import export_onnx
from leanformer.export.extras import require
from leanformer.export.layout import artefact
from leanformer.export.quantise import quantise_onnx, quantise_onnx_static, quantise_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sublayers import sublayers
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
    runner = load_runner(copied, quantised.runtime, quantised.precision, threads=1)
    answer = predict_with(runner, small.encoded, small.tokenizer)
    expected = predict(small.model, small.encoded, small.tokenizer)
    difference = np.abs(answer - expected).max()
    assert 1e-6 < difference < 0.25 * np.ptp(expected)  # rounded, and not noise


def test_onnx_int8(small, copied):
    quantised = quantise_onnx(copied, NEW_CHIP)
    assert "8-bit weights (x86_64: avx2, vnni)" in quantised.note
    check(small, copied, quantised, small.onnx)


def test_openvino_int8(small, copied):
    quantised = quantise_openvino(copied, small.encoded, small.tokenizer, rows=8, processor=NEW_CHIP)
    assert quantised.note == (
        "post-training, 8-bit weights, calibrated on 8 training texts (x86_64: avx2, vnni)"
    )
    check(small, copied, quantised, small.openvino)


@pytest.mark.parametrize(("chip", "bits"), [(OLD_CHIP, 7), (NEW_CHIP, 8)])
def test_static_onnx_int8(small, copied, chip, bits):
    quantised = quantise_onnx_static(copied, small.encoded, small.tokenizer, rows=8, processor=chip)
    assert quantised.path.name == "model_int8_static.onnx"
    assert f"{bits}-bit weights, unsigned activations calibrated on 8 training texts" in quantised.note
    assert largest_weight(quantised.path) <= (64 if bits == 7 else 127)
    check(small, copied, quantised, small.onnx)


def test_static_activations_are_signed_where_the_processor_likes_it(small, copied):
    import onnx

    phone = Cpu("phone", "aarch64", ("dot",))
    quantised = quantise_onnx_static(copied, small.encoded, small.tokenizer, rows=2, processor=phone)
    assert "signed activations" in quantised.note
    graph = onnx.load(quantised.path).graph
    kinds = {tensor.data_type for tensor in graph.initializer if tensor.name.endswith("_zero_point")}
    assert onnx.TensorProto.INT8 in kinds
    assert onnx.TensorProto.UINT8 not in kinds


FLOAT = ((0, "neuron"), (1, "head"))


def make(small, copied, runtime, precision, float_sublayers):
    if precision == "int8-static":
        return quantise_onnx_static(
            copied, small.encoded, small.tokenizer, 4, NEW_CHIP, float_sublayers=float_sublayers
        )
    if runtime == "onnxruntime":
        return quantise_onnx(copied, NEW_CHIP, float_sublayers)
    return quantise_openvino(copied, small.encoded, small.tokenizer, 4, NEW_CHIP, float_sublayers)


def int8_linears(path):
    """The names of the linears whose weights are bytes."""
    if path.suffix == ".onnx":
        import onnx

        graph = onnx.load(path).graph
        byte_types = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
        bytes_ = {tensor.name for tensor in graph.initializer if tensor.data_type in byte_types}
        made_of = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
        linears = [node for node in graph.node if node.op_type in ("MatMulInteger", "MatMul")]
        found = [node.name for node in linears if made_of.get(node.input[1], node.input[1]) in bytes_]
        return {name.removesuffix("_quant") for name in found}
    return set(openvino_int8_weights(path))


def openvino_int8_weights(path):
    """By name, the weights of the linears that are bytes."""
    require("openvino")  # without its telemetry
    import openvino

    found = {}
    for node in openvino.Core().read_model(path).get_ordered_ops():
        if node.get_type_name() == "MatMul":
            source = node.input_value(1).get_node()
            while source.get_type_name() != "Constant":
                source = source.input_value(0).get_node()
            if source.get_element_type().to_string() in ("i8", "u8"):
                found[node.get_friendly_name()] = source.get_data().astype(np.int64)
    return found


@pytest.mark.parametrize(
    ("runtime", "precision"), [("onnxruntime", "int8"), ("onnxruntime", "int8-static"), ("openvino", "int8")]
)
def test_the_sublayers_that_are_named_stay_in_float_and_no_other(small, copied, runtime, precision):
    nodes = sublayers(artefact(copied, runtime, "fp32"))
    every = {name for names in nodes.values() for name in names}
    named = {name for sublayer in FLOAT for name in nodes[sublayer]}
    plain = make(small, copied, runtime, precision, ())
    assert every <= int8_linears(plain.path)
    size = plain.size_mb
    made = make(small, copied, runtime, precision, FLOAT)
    assert made.float_sublayers == FLOAT
    assert int8_linears(made.path) & every == every - named
    assert made.size_mb > size


def test_what_is_made_elsewhere_leaves_the_folder_as_it_was(small, copied, tmp_path):
    artefact(copied, "onnxruntime", "int8").unlink(missing_ok=True)
    made = quantise_onnx(copied, NEW_CHIP, into=tmp_path)
    assert made.path == artefact(tmp_path, "onnxruntime", "int8")
    assert made.path.is_file()
    assert not artefact(copied, "onnxruntime", "int8").exists()


def test_an_unknown_sublayer_is_refused(small, copied):
    with pytest.raises(ModelError, match="no sub-layer '5 head'"):
        quantise_onnx(copied, NEW_CHIP, [(5, "head")])


def largest_weight(path):
    import onnx

    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
    ]
    return max(int(np.abs(weight.astype(np.int64)).max()) for weight in weights)


def test_openvino_weights_get_seven_bits_without_vnni(small, copied):
    def levels(processor):
        made = quantise_openvino(copied, small.encoded, small.tokenizer, 4, processor)
        return max(np.abs(weight).max() for weight in openvino_int8_weights(made.path).values())

    assert levels(NEW_CHIP) > 64
    assert levels(OLD_CHIP) <= 64


def test_without_vnni_weights_get_seven_bits(small, copied):
    quantised = quantise_onnx(copied, OLD_CHIP)
    assert "7-bit weights (x86_64: avx2)" in quantised.note
    assert largest_weight(quantised.path) <= 64


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
