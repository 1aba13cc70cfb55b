"""The demo's own way: data made into the run, a finished demo shown again, an interrupted one resumed."""

import json
import shutil

import pytest

import leanformer.demo
import leanformer.proof
from leanformer.methods.method import Method


@pytest.fixture
def demo(call, workshop, tmp_path, monkeypatch):
    """The demo with a tiny model and tiny sentences instead of MiniLM and Rotten Tomatoes, without exports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEANFORMER_QUIET")
    monkeypatch.setattr(leanformer.demo, "model_folder", lambda: workshop / "bert")
    monkeypatch.setattr(
        leanformer.demo,
        "write_rotten_tomatoes",
        lambda folder, quick: {
            "to": str(shutil.copytree(workshop / "reviews", folder / leanformer.demo.TASK))
        },
    )
    monkeypatch.setattr(leanformer.proof, "installed", lambda folder: False)
    return lambda *words: call("demo", "--quick", "--threads", 1, *words)


def test_demo_from_nothing_to_the_report_and_once_more(demo, tmp_path):
    done = demo()
    assert done.exit_code == 0, done.stderr
    assert "leanformer-demo/report.html" in done.stdout
    assert "no ONNX export" in done.stderr
    assert (tmp_path / "leanformer-demo" / "data" / "rotten-tomatoes" / "train.csv").is_file()
    again = demo("--json")
    assert again.exit_code == 0, again.stderr
    assert "finished" in again.stderr
    assert json.loads(again.stdout)["run"] == "leanformer-demo"
    other = demo("--seed", 1)
    assert other.exit_code == 2
    assert "give another --out" in other.stderr


@pytest.mark.thorough
def test_interrupted_demo_says_how_to_go_on_and_does(demo, tmp_path, monkeypatch):
    def interrupt(self, problem):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Method, "run", interrupt)
        stopped = demo()
    assert stopped.exit_code == 130
    assert "--resume" in stopped.stderr
    assert not list((tmp_path / "leanformer-demo").glob(".*"))
    refused = demo()
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    done = demo("--resume")
    assert done.exit_code == 0, done.stderr
    assert "dense teacher: done before" in done.stderr
