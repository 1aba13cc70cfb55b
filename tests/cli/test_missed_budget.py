"""What compress, demo and report say of a run whose budget is missed."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from report_example import example_budget, example_result

from leanformer.cli.compress import answer


@pytest.fixture
def missed(monkeypatch):
    """Every job "ends" with this result: too slow, small enough."""
    budget = example_budget(speedup=(8.0, 5.51, 5.3, 5.7, False), size_mb=(70.0, 69.6, None, None, True))
    record = example_result() | {"budget": budget}
    for export in record["exports"]:
        export["accepted"] = True
    monkeypatch.setattr("leanformer.pipeline.run_job", lambda *job, **others: record)
    return record


def test_compress_shows_each_limit_and_ends_with_1(call, missed):
    done = call("compress", "bert", "--data", "reviews", "--speedup", 8, "--size-mb", 70)
    assert done.exit_code == 1
    shown = " ".join(done.stdout.split())
    assert "speed-up in OpenVINO int8 at batch 1 at least 8× 5.51× (5.30 to 5.70) missed" in shown
    assert "size of the weights at most 70 MB 69.6 MB met" in shown
    assert "Budget missed: speed-up" in shown


def test_json_carries_the_budget(call, missed):
    done = call("compress", "bert", "--data", "reviews", "--speedup", 8, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["budget"] == missed["budget"]


def test_a_missed_budget_goes_before_no_gain(missed):
    names = {"best_plain": "openvino int8", "best_compressed": "openvino int8"}
    no_gain = {"1": {**names, "ratio": 1.0, "low": 0.9, "high": 1.1, "gain": False}}
    assert answer(missed | {"gain": no_gain}).exit_code == 1
    assert answer(missed | {"gain": no_gain, "budget": None}).exit_code == 3
    assert answer(missed | {"budget": None}).exit_code == 0


def test_the_demo_shows_it_and_has_succeeded_all_the_same(call, missed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leanformer.demo.model_folder", lambda: tmp_path / "model")
    done = call("demo", "--quick")
    assert done.exit_code == 0, done.output
    assert "Budget missed: speed-up" in done.stdout


def test_report_shows_it_again(call, missed, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(missed))
    done = call("report", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Budget missed: speed-up" in done.stdout
    assert 'id="budget"' in (tmp_path / "report.html").read_text()


def test_the_help_says_the_exit_codes(call):
    said = " ".join(call("compress", "--help").stdout.replace("│", " ").split())
    assert "Exit code 1 says that the model is there, but a limit of the budget is missed" in said
