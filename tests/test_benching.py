"""Models that exist already, timed and scored side by side."""

import json
from dataclasses import replace

import pytest

from leanformer.assess import evaluate
from leanformer.benching import bench_models
from leanformer.errors import ModelError
from tiny import build_model

BRIEFLY = {"limit_s": 0.0, "precisions": ["fp32"]}


def test_bench_scores_in_the_order_of_the_data_too(reversed_model, reading, monkeypatch):
    monkeypatch.setattr("leanformer.benching.installed", lambda folder: False)
    (row,) = bench_models([str(reversed_model)], [2], rounds=2, reading=reading, **BRIEFLY)
    assert row.score == evaluate(str(reversed_model), reading).value
    assert row.model == "reversed"


def test_models_with_different_tokenizers_are_not_compared(reversed_model, reading, tmp_path, monkeypatch):
    from tiny import build_tokenizer

    monkeypatch.setattr("leanformer.benching.installed", lambda folder: False)
    other = tmp_path / "other"
    build_model("bert").save_pretrained(other)
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["[NEW]"])
    tokenizer.save_pretrained(other)
    with pytest.raises(ModelError):
        bench_models([str(reversed_model), str(other)], [2], rounds=2, reading=reading, **BRIEFLY)


def test_models_that_read_texts_differently_are_not_compared(tiny_tokenizer, reading, tmp_path, monkeypatch):
    """The same vocabulary is not enough: one takes fewer tokens, the other needs to know which text is which."""
    monkeypatch.setattr("leanformer.benching.installed", lambda folder: False)
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
    monkeypatch.setattr("leanformer.benching.installed", lambda folder: False)
    monkeypatch.setattr("leanformer.benching.say", said.append)
    bench_models([str(reversed_model)], [2], rounds=2, reading=reading, **BRIEFLY)
    for extra in ("onnx", "openvino"):
        assert any(f'pip install "leanformer[{extra}]"' in line for line in said)
