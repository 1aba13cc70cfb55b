"""Scores, exports and speeds of models that exist already."""

import json
import shutil
from dataclasses import replace

import pytest

from leanformer.assess import Reading, bench_models, evaluate, export
from leanformer.errors import DataError, ModelError
from leanformer.job import Job
from leanformer.run import Run
from leanformer.tasks.load import DataSpec
from tiny import build_model

BRIEFLY = {"limit_s": 0.0, "precisions": ["fp32"]}


@pytest.fixture(scope="module")
def reversed_model(tiny_tokenizer, tmp_path_factory):
    """A classifier whose head answers (positive, negative); the data's labels are (negative, positive)."""
    folder = tmp_path_factory.mktemp("models") / "reversed"
    model = build_model("bert", layers=1)
    model.config.id2label = {0: "positive", 1: "negative"}
    model.config.label2id = {"positive": 0, "negative": 1}
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(reversed_model, tmp_path_factory):
    """That classifier as ONNX, exported without data."""
    out = tmp_path_factory.mktemp("exported")
    export(str(reversed_model), "onnx", int8=False, out=out, reading=Reading())
    return out / "onnx"


@pytest.fixture
def reading(tiny_task):
    """F1 is not the same when the labels are swapped, even if a model always gives one answer."""
    return Reading(DataSpec(str(tiny_task), metric="f1"), threads=1)


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


def test_bench_scores_in_the_order_of_the_data_too(reversed_model, reading, monkeypatch):
    monkeypatch.setattr("leanformer.assess.installed", lambda folder: False)
    (row,) = bench_models([str(reversed_model)], [2], rounds=2, reading=reading, **BRIEFLY)
    assert row.score == evaluate(str(reversed_model), reading).value
    assert row.model == "reversed"


def test_models_with_different_tokenizers_are_not_compared(reversed_model, reading, tmp_path, monkeypatch):
    from tiny import build_tokenizer

    monkeypatch.setattr("leanformer.assess.installed", lambda folder: False)
    other = tmp_path / "other"
    build_model("bert").save_pretrained(other)
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["[NEW]"])
    tokenizer.save_pretrained(other)
    with pytest.raises(ModelError):
        bench_models([str(reversed_model), str(other)], [2], rounds=2, reading=reading, **BRIEFLY)


def test_model_in_a_run_brings_its_data_and_settings(tmp_path):
    job = Job("bert", DataSpec("reviews"), truncate=True, max_tokens=16, threads=1)
    run = Run.create(tmp_path / "run", job, resume=False)
    for place in (run.folder, run.folder / "model", run.folder / "onnx" / "model.onnx"):
        found = Reading(threads=3).beside(str(place))
        assert found == Reading(DataSpec("reviews"), truncate=True, max_tokens=16, threads=3)
    own = Reading(DataSpec("tweets"), truncate=False, max_tokens=32).beside(str(run.folder))
    assert (own.spec, own.truncate, own.max_tokens) == (DataSpec("tweets"), False, 32)


def test_model_outside_a_run_needs_data(tmp_path):
    with pytest.raises(DataError, match="--data"):
        Reading().load(str(tmp_path))


def test_exported_head_that_does_not_match(exported, reading, tmp_path):
    shutil.copytree(exported, tmp_path / "three")
    build_model("bert", num_labels=3).config.save_pretrained(tmp_path / "three")
    with pytest.raises(ModelError, match="3 outputs"):
        evaluate(str(tmp_path / "three"), reading)


def test_models_that_read_texts_differently_are_not_compared(tiny_tokenizer, reading, tmp_path, monkeypatch):
    """The same vocabulary is not enough: one takes fewer tokens, the other needs to know which text is which."""
    monkeypatch.setattr("leanformer.assess.installed", lambda folder: False)
    for name in ("whole", "short", "untyped"):
        build_model("bert").save_pretrained(tmp_path / name)
        tiny_tokenizer.save_pretrained(tmp_path / name)
    for name, key, value in (
        ("short", "model_max_length", 6),
        ("untyped", "model_input_names", ["input_ids", "attention_mask"]),
    ):
        path = tmp_path / name / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    cut = replace(reading, truncate=True)
    for first, second in (("whole", "short"), ("untyped", "whole")):
        with pytest.raises(ModelError, match="reads the texts differently"):
            bench_models(
                [str(tmp_path / first), str(tmp_path / second)], [2], rounds=2, reading=cut, **BRIEFLY
            )
    rows = bench_models(
        [str(tmp_path / "whole"), str(tmp_path / "untyped")], [2], rounds=2, reading=cut, **BRIEFLY
    )
    assert [row.model for row in rows] == ["whole", "untyped"]  # what it does not read, it need not be given


def test_a_model_that_is_named_twice_is_refused(reversed_model, reading):
    with pytest.raises(ModelError, match="named twice"):
        bench_models([str(reversed_model)] * 2, [2], rounds=2, reading=reading, **BRIEFLY)


def test_bench_says_which_runtimes_it_leaves_out(reversed_model, reading, monkeypatch):
    said = []
    monkeypatch.setattr("leanformer.assess.installed", lambda folder: False)
    monkeypatch.setattr("leanformer.assess.say", said.append)
    bench_models([str(reversed_model)], [2], rounds=2, reading=reading, **BRIEFLY)
    for extra in ("onnx", "openvino"):
        assert any(f'pip install "leanformer[{extra}]"' in line for line in said)


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
