"""leanformer league, as a user has it."""

import json

import pytest
from cli_process import leanformer

REFUSALS = [
    (("bert",), "no data are given"),
    (("bert", "--data", "reviews", "--method", "magic"), "there is no method 'magic'"),
    (("bert", "--data", "reviews", "--method", "auto"), "auto has no row beside the others"),
    (("bert", "--data", "reviews", "--seeds", "one"), "--seeds 'one' is no list of numbers"),
    (("bert", "--data", "reviews", "--pruning-ratio", "1.5"), "the pruning ratio 1.5 lies outside"),
    (("bert", "--data", "nowhere"), "nowhere"),
    (("bert", "--data", "reviews", "--trained", "no-league"), "no-league/dense is not a run of leanformer"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSALS)
def test_bad_input_is_one_sentence_and_nothing_is_left(
    call, workshop, monkeypatch, tmp_path, words, sentence
):
    monkeypatch.chdir(workshop)
    done = call("league", *words, "--out", tmp_path / "league")
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert not (tmp_path / "league").exists()


@pytest.mark.thorough
def test_two_methods_end_to_end(workshop, tmp_path):
    """In every runtime, in a process of its own; a second call has nothing to do."""
    words = ("league", "bert", "--data", "reviews", "--method", "uniform-magnitude", "--method", "one-shot")
    words += ("--quick", "--threads", 1, "--limit", 0, "--out", tmp_path / "league")
    done = leanformer(*words, folder=workshop)
    assert done.returncode == 0, done.stderr
    assert "uniform-magnitude" in done.stdout
    assert "Within 1 point lost" in done.stdout or "No method keeps" in done.stdout
    again = leanformer(*words, "--resume", "--json", folder=workshop)
    assert again.returncode == 0, again.stderr
    record = json.loads(again.stdout)
    assert record["precisions"] == ["fp32", "int8"]
    assert {row["method"] for row in record["rows"]} == {"uniform-magnitude", "one-shot"}
    assert "batch 8: timed before" in again.stderr
    names = {path.name for path in (tmp_path / "league").iterdir()}
    assert names == {"dense", "cells", "exports", "timing", "league.json", "league.html"}
    assert len(list((tmp_path / "league" / "exports").glob("*/onnx/model_int8.onnx"))) == 3
