"""Exports are kept by their measured score."""

import json
import shutil

import pytest

from leanformer import exports
from leanformer.encoders.forms import PLAIN
from leanformer.encoders.saving import save_model
from leanformer.errors import LeanformerError
from leanformer.export import extras
from leanformer.export.exporters import Exported
from leanformer.export.layout import artefact_mb
from leanformer.export.sensitivity import HeldOut
from leanformer.exports import Examples, write_exports
from leanformer.tasks.encode import encode
from leanformer.tasks.load import DataSpec, load_data


@pytest.fixture(scope="module")
def saved(tiny_model, tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(tiny_model("bert", layers=1), tiny_tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def in_onnx(saved, tmp_path_factory):
    """What is written without data, and what is said of it."""
    out = tmp_path_factory.mktemp("out")
    return out, write_exports(saved, out, "onnx", int8=False, examples=None)


@pytest.fixture
def exported_before(in_onnx, monkeypatch):
    """Let the tests of int8 start from that export, instead of tracing the model once more."""

    def copy(model, out, encoded, form):
        assert form == PLAIN
        path = shutil.copytree(in_onnx[0] / "onnx", out / "onnx") / "model.onnx"
        return Exported("onnxruntime", "fp32", form, path, artefact_mb(path), 0.0)

    monkeypatch.setitem(exports._WRITERS, "onnx", copy)


@pytest.fixture
def examples(tiny_task, tiny_tokenizer):
    data = load_data(DataSpec(str(tiny_task)))
    encoded = [encode(rows, tiny_tokenizer, 64, truncate=False) for rows in (data.validation, data.train)]
    return Examples(data.task, tiny_tokenizer, encoded[0], encoded[1].select(range(20)))


def test_int8_whose_score_falls_is_measured_and_not_kept(saved, examples, exported_before, tmp_path):
    bound = -1000.0  # no score can hold against this
    fp32, int8 = write_exports(
        saved, tmp_path / "out", "onnx", int8=True, examples=examples, max_drop_points=bound
    )
    assert (fp32["accepted"], int8["accepted"]) == (True, False)
    assert (fp32["form"], int8["form"]) == (PLAIN, PLAIN)
    assert 0 <= int8["score"] <= 1
    assert int8["float_sublayers"] == []  # what is reported of it is plain int8
    assert (tmp_path / "out" / fp32["path"]).is_file()
    assert not (tmp_path / "out" / int8["path"]).exists()


def test_int8_returns_a_sublayer_to_float_where_that_keeps_it_in_the_bound(
    saved, examples, exported_before, tmp_path, monkeypatch
):
    asked = []

    def allows(held_out, loss):
        asked.append(loss.float_sublayers)
        assert len(held_out.rows) == len(examples.calibration)
        return len(loss.float_sublayers) == 1

    monkeypatch.setattr(HeldOut, "allows", allows)
    _, int8 = write_exports(saved, tmp_path / "out", "onnx", int8=True, examples=examples)
    assert int8["accepted"]
    assert asked[0] == ()
    assert [tuple(sublayer) for sublayer in int8["float_sublayers"]] == list(asked[1])
    assert int8["note"].endswith("1 of 2 sub-layers stayed in float")
    assert json.dumps(int8)
    written = {path.name for path in (tmp_path / "out" / "onnx").glob("*.onnx")}
    assert written == {"model.onnx", "model_int8.onnx"}


def test_fp32_without_data_has_no_score(in_onnx):
    out, (row,) = in_onnx
    assert row["score"] is None
    assert row["max_difference"] < 1e-5
    assert row["size_mb"] == pytest.approx((out / row["path"]).stat().st_size / 1e6)


@pytest.mark.parametrize(
    ("folder", "int8", "said"), [("tflite", False, "'tflite'"), ("onnx", True, "--data")]
)
def test_what_can_not_work_is_refused(folder, int8, said, saved, tmp_path):
    with pytest.raises(LeanformerError, match=said):
        write_exports(saved, tmp_path / "out", folder, int8, examples=None)
    assert not (tmp_path / "out").exists()


def test_installed_asks_for_every_package(monkeypatch):
    assert exports.installed("onnx")
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "nncf" else object())
    assert not exports.installed("openvino")


def test_int8_that_could_not_be_judged_is_not_kept(saved, examples, exported_before, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(exports, "max_difference", stop)
    with pytest.raises(KeyboardInterrupt):
        write_exports(saved, tmp_path / "out", "onnx", int8=True, examples=examples)
    assert (tmp_path / "out" / "onnx" / "model.onnx").is_file()
    assert not (tmp_path / "out" / "onnx" / "model_int8.onnx").exists()
