"""The other forms of a model as files: named apart, the plain model's logits, with open batch and length."""

from itertools import product
from shutil import copyfile, copytree

import numpy as np
import onnx
import pytest
import torch

from leanformer.encoders.forms import FORMS, PLAIN
from leanformer.encoders.saving import save_model
from leanformer.errors import ModelError
from leanformer.export import exporters
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.layout import artefact, file_name
from leanformer.export.quantise import quantise_onnx
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sublayers import sublayers
from leanformer.export.variants import ensure_artefact
from leanformer.exports import write_exports
from leanformer.structure.surgery import slice_units
from leanformer.tasks.predict import predict
from tiny import TINY_FAMILIES

EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}
# by name, fused and rotary, and the other runtime once; -m slow has all
FAST = {("bert", "onnx")}
THOROUGH = {("modernbert", "onnx"), ("bert", "openvino")}


def cost(case):
    """Marks: an export takes seconds."""
    return () if case in FAST else pytest.mark.thorough if case in THOROUGH else pytest.mark.slow


MASKS = {
    (0, "head"): torch.tensor([1.0, 0, 1, 1]),
    (1, "head"): torch.tensor([0.0, 1, 0, 1]),
    (1, "neuron"): (torch.arange(64) % 2).float(),
}


@pytest.mark.parametrize(
    ("family", "name"),
    [pytest.param(*case, marks=cost(case)) for case in product(TINY_FAMILIES, EXPORTERS)],
)
def test_the_first_token_form_is_the_plain_model(
    family, name, tiny_model, tiny_tokenizer, encoded_texts, tmp_path
):
    lean = slice_units(tiny_model(family), MASKS)
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts, "first-token")
    assert exported.form == "first-token"
    assert "first_token" in exported.path.name
    expected = predict(lean, encoded_texts, tiny_tokenizer)
    runner = load_runner(tmp_path, exported.runtime, threads=1, form="first-token")
    for batch_size in (1, 5):
        answer = predict_with(runner, encoded_texts, tiny_tokenizer, batch_size)
        np.testing.assert_allclose(answer, expected, atol=1e-5)
    with pytest.raises(ModelError, match="there is no"):
        load_runner(tmp_path, exported.runtime, threads=1)


@pytest.fixture(scope="module")
def forms(small, tmp_path_factory):
    """The compressed bert as ONNX, in two forms."""
    out = tmp_path_factory.mktemp("forms")
    copytree(small.onnx.path.parent, out / "onnx")
    return out, export_onnx(small.folder, out, small.encoded, "first-token")


@pytest.mark.slow
def test_every_form_has_a_file_of_its_own(small, tmp_path):
    out = tmp_path
    exported = {form: export_onnx(small.folder, out, small.encoded, form) for form in FORMS}
    assert {one.path for one in exported.values()} == {
        artefact(out, "onnxruntime", "fp32", form) for form in FORMS
    }
    assert len({one.path for one in exported.values()}) == len(FORMS)
    assert all(one.max_difference <= 1e-5 for one in exported.values())
    assert len({one.path.read_bytes() for one in exported.values()}) == len(
        FORMS
    )  # no form is another one renamed
    for form in FORMS:
        answer = predict_with(
            load_runner(out, "onnxruntime", threads=1, form=form), small.encoded, small.tokenizer
        )
        np.testing.assert_allclose(answer, predict(small.model, small.encoded, small.tokenizer), atol=1e-5)


def int8_shapes(path):
    """The shapes of the int8 matrices in an ONNX file."""
    tensors = onnx.load(path).graph.initializer
    int8 = [
        tensor for tensor in tensors if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
    ]
    assert int8
    return sorted(tuple(tensor.dims) for tensor in int8)


def test_int8_of_a_form_lies_beside_it(forms, small):
    out, exported = forms
    plain, made = quantise_onnx(out), quantise_onnx(out, form="first-token")
    assert made.path == exported.path.with_name("model_first_token_int8.onnx")
    assert int8_shapes(made.path) == int8_shapes(plain.path)  # no matrix escapes the quantiser
    runner = load_runner(out, "onnxruntime", "int8", threads=1, form="first-token")
    answer = predict_with(runner, small.encoded, small.tokenizer)
    assert np.abs(answer - predict(small.model, small.encoded, small.tokenizer)).max() < 0.2


@pytest.mark.slow
def test_no_matrix_of_a_fused_projection_escapes_the_quantiser(tiny_model, tiny_tokenizer, tmp_path):
    save_model(tiny_model("modernbert", hidden=64), tiny_tokenizer, tmp_path / "model")
    shapes = {}
    for form in (PLAIN, "first-token"):
        export_onnx(tmp_path / "model", tmp_path, form=form)
        shapes[form] = int8_shapes(quantise_onnx(tmp_path, form=form).path)
    assert shapes["first-token"] == split_fused(shapes[PLAIN])


def split_fused(shapes):
    """The shapes of the plain model's matrices, with one fused projection in its two parts."""
    rest = list(shapes)
    rest.remove((64, 192))
    return sorted([*rest, (64, 64), (64, 128)])


@pytest.mark.thorough
def test_a_missing_form_is_made_once_and_no_other(small, tmp_path):
    arguments = (small.folder, tmp_path, "onnxruntime", "int8", small.tokenizer)
    path = ensure_artefact(*arguments, form="first-token")
    assert path == artefact(tmp_path, "onnxruntime", "int8", "first-token")
    made = path.stat().st_mtime_ns
    assert ensure_artefact(*arguments, form="first-token").stat().st_mtime_ns == made
    assert not artefact(tmp_path, "onnxruntime", "fp32").exists()


def test_a_new_export_of_a_form_removes_its_int8_only(forms, small, untraced):
    out, _ = forms
    kept, stale = quantise_onnx(out), quantise_onnx(out, form="first-token")
    export_onnx(small.folder, out, form="first-token")
    assert kept.path.is_file()
    assert not stale.path.exists()


def test_the_rows_of_an_export_tell_the_form(small, tmp_path, monkeypatch):
    monkeypatch.setattr(exporters, "_write_onnx", lambda model, inputs, path: copyfile(small.onnx.path, path))
    (row,) = write_exports(small.folder, tmp_path, "onnx", int8=False, examples=None, form="first-token")
    assert (row["form"], row["path"]) == ("first-token", "onnx/model_first_token.onnx")


def test_pytorch_takes_a_form_too(small):
    runner = load_runner(small.folder, "torch", threads=1, form="first-token")
    answer = predict_with(runner, small.encoded, small.tokenizer)
    np.testing.assert_allclose(answer, predict(small.model, small.encoded, small.tokenizer), atol=1e-5)
    assert "FirstToken" in str(runner.model)


def test_pytorch_has_attention_written_out_as_a_precision(small):
    with pytest.raises(
        ModelError, match="torch has no form 'eager-attention': choose the precision fp32-eager"
    ):
        load_runner(small.folder, "torch", threads=1, form="eager-attention")


def test_a_new_export_removes_every_kind_of_int8_of_its_form(tmp_path):
    (tmp_path / "onnx").mkdir()
    kinds = ("int8", "int8-static")
    files = {
        (kind, form): artefact(tmp_path, "onnxruntime", kind, form) for kind in kinds for form in FORMS[:2]
    }
    for file in files.values():
        file.write_text("")
    exporters.remove_int8(tmp_path, "onnxruntime", "first-token")
    assert {key for key, file in files.items() if file.is_file()} == {(kind, PLAIN) for kind in kinds}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_the_halves_of_a_fused_projection_belong_to_their_sublayer(
    name, tiny_model, tiny_tokenizer, tmp_path
):
    """Else they would stay int8 where the sub-layer returns to float."""
    save_model(tiny_model("modernbert"), tiny_tokenizer, tmp_path / "model")
    nodes = sublayers(EXPORTERS[name](tmp_path / "model", tmp_path, form="first-token").path)
    fused, split = ([node.rsplit(".", 1)[-1] for node in nodes[layer, "head"]] for layer in (0, 1))
    assert fused == ["Wqkv", "Wo"]
    assert sorted(split) == ["Wo", "key_value_weight", "query_weight"]


def test_names_of_files():
    assert file_name("onnxruntime", "fp32") == "model.onnx"
    assert file_name("onnxruntime", "int8", "first-token") == "model_first_token_int8.onnx"
    assert (
        file_name("openvino", "int8", "first-token+eager-attention")
        == "openvino_model_first_token_eager_attention_int8.xml"
    )


def test_a_missing_form_says_how_to_write_it(tmp_path):
    with pytest.raises(ModelError, match=r"--format onnx --int8 --first-token --eager-attention$"):
        load_runner(tmp_path, "onnxruntime", "int8", form="first-token+eager-attention")


def test_a_model_without_the_form_is_refused_and_nothing_is_written(tiny_model, tiny_tokenizer, tmp_path):
    model = tiny_model("modernbert")
    model.config.classifier_pooling = "mean"
    save_model(model, tiny_tokenizer, tmp_path / "model")
    with pytest.raises(ModelError, match="pools over all tokens"):
        export_onnx(tmp_path / "model", tmp_path / "out", form="first-token")
    assert not (tmp_path / "out").exists()
