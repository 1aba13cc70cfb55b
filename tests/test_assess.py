"""Scores and exports of models that exist already."""

import json
import shutil

import pytest

from leanformer.assess import evaluate, export
from leanformer.errors import ModelError
from leanformer.reading import Reading
from tiny import build_model


@pytest.fixture(scope="module")
def exported(reversed_model, tmp_path_factory):
    """That classifier as ONNX, exported without data."""
    out = tmp_path_factory.mktemp("exported")
    export(str(reversed_model), "onnx", int8=False, out=out, reading=Reading())
    return out / "onnx"


def test_label_order_is_that_of_the_data_whichever_way_a_model_is_stored(
    reversed_model, exported, reading, tmp_path
):
    in_torch = evaluate(str(reversed_model), reading)
    (row,) = export(str(reversed_model), "onnx", int8=False, out=tmp_path, reading=reading)
    folders = (exported, tmp_path / "onnx")
    order = [json.loads((folder / "config.json").read_text())["id2label"]["0"] for folder in folders]
    assert order == ["positive", "negative"]
    assert row["score"] == in_torch.value
    for folder in folders:
        assert evaluate(str(folder), reading) == in_torch


def test_exported_head_that_does_not_match(exported, reading, tmp_path):
    shutil.copytree(exported, tmp_path / "three")
    build_model("bert", num_labels=3).config.save_pretrained(tmp_path / "three")
    with pytest.raises(ModelError, match="3 outputs"):
        evaluate(str(tmp_path / "three"), reading)


def test_a_broken_export_is_one_sentence(exported, reading, tmp_path):
    alone, wordless, cut = (
        shutil.copytree(exported, tmp_path / name) for name in ("alone", "wordless", "cut")
    )
    (alone / "config.json").unlink()
    (wordless / "tokenizer.json").write_text("{")
    (cut / "model.onnx").write_bytes((exported / "model.onnx").read_bytes()[:1000])
    for folder, said in (
        (alone, r"config\.json"),
        (wordless, "tokenizer in .* can not be loaded"),
        (cut, r"model\.onnx can not be opened"),
    ):
        with pytest.raises(ModelError, match=said):
            evaluate(str(folder), reading)


def test_an_export_of_a_hub_model_is_put_where_the_user_says(reading, tmp_path, monkeypatch):
    """A folder of the model's name would from then on be taken for the model."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="--out"):
        export("someone/bert", "onnx", int8=False, out=None, reading=Reading())
