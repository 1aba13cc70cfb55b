"""A whole run on a tiny model, the verbs that look at it afterwards, and the same run killed and resumed."""

import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from cli_process import leanformer, started
from rich.console import Console

from ladder_example import example_ladder
from leanformer.cli.exit_codes import exit_code
from leanformer.export.cpu import cpu
from leanformer.job import Job
from leanformer.run import Run

PATIENCE_S = 120.0
KEYS = {
    "run",
    "method",
    "task",
    "metric",
    "n",
    "pruning_ratio",
    "dense",
    "compressed",
    "drop_points",
    "speedup",
}
LOAD = """
import sys
from transformers import pipeline
classify = pipeline("text-classification", {folder!r}, trust_remote_code=True)
print(sorted({{answer["label"] for answer in classify(["a good film", "a bad film"], top_k=None)[0]}}))
print("leanformer" in sys.modules)
"""


def test_json_has_the_keys_that_scripts_rely_on(finished):
    record = finished["record"]
    assert record.keys() >= KEYS
    for model in ("dense", "compressed"):
        assert record[model].keys() >= {"score", "encoder_parameters", "size_mb"}
    assert record["speedup"].keys() == {"1", "8"}
    assert record["n"] == 60
    assert record["metric"] == "accuracy"


def test_bias_is_measured_and_an_audit_of_the_run_goes_into_its_report(finished, call, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(finished["folder"], folder)
    bias = json.loads((folder / "result.json").read_text())["bias"]
    assert bias["models"] == ["dense", "compressed"]
    assert bias["figures"] or "gender word" in bias["unmeasured"][0]["reason"]
    assert 'id="bias"' in (folder / "report.html").read_text()
    done = call("audit", folder, "--data", finished["folder"].parent / "reviews", "--threads", 1)
    assert done.exit_code == 0, done.output
    assert "Compression" in done.stdout
    metrics = {one["metric"] for one in json.loads((folder / "result.json").read_text())["bias"]["figures"]}
    assert metrics >= {"WEAT, words alone", "SEAT, sentences", "SEAT, target tokens"}
    assert "WEAT, words alone" in (folder / "report.html").read_text()
    assert (folder / "audit.json").is_file()


def test_the_model_is_smaller_by_the_ratio_that_was_asked(finished):
    record = finished["record"]
    assert record["pruning_ratio_reached"] == pytest.approx(0.5, abs=0.005)
    assert record["compressed"]["encoder_parameters"] < 0.6 * record["dense"]["encoder_parameters"]
    assert record["compressed"]["size_mb"] < record["dense"]["size_mb"]


def test_test_rows_are_scored_too(finished):
    assert finished["record"]["test"]["n"] == 40


def test_data_are_shown_before_the_run(finished):
    said = finished["said"]
    assert "text 'sentence', label 'label'" in said
    assert "train 200, validation 60, test 40" in said
    assert said.index("train 200") < said.index("Dense teacher")
    assert "Writing model shards" not in said


def test_everything_lands_in_the_folder(finished):
    names = {path.name for path in finished["folder"].iterdir()}
    wanted = {"job.toml", "log.jsonl", "result.json", "contract.json", "report.html"}
    assert names == wanted | {"teacher", "search", "model", "onnx", "openvino"}
    assert [path.name for path in (finished["folder"] / "search").iterdir()] == ["journal.log"]


def test_job_file_repeats_the_run(finished):
    job = Run.open(finished["folder"]).job
    assert job == Job.from_toml(finished["folder"] / "job.toml")
    assert tomllib.loads((finished["folder"] / "job.toml").read_text())["data"]["source"].startswith("/")


def test_result_file_has_every_stage_and_picture(finished):
    result = json.loads((finished["folder"] / "result.json").read_text())
    stages = [stage["name"] for stage in result["stages"]]
    assert stages == ["dense teacher", "search and recovery", "scores", "ONNX", "OpenVINO", "speed"]
    assert len(result["layers"]) == 2
    assert any(candidate["chosen"] for candidate in result["search"]["candidates"])
    assert {(row["runtime"], row["precision"]) for row in result["exports"]} == {
        (runtime, precision) for runtime in ("onnxruntime", "openvino") for precision in ("fp32", "int8")
    }
    fp32 = [row["max_difference"] for row in result["exports"] if row["precision"] == "fp32"]
    assert max(fp32) < 1e-5
    bf16 = {"bf16"} if "bf16" in cpu().features else set()
    assert {row["precision"] for row in result["bench"]} == {"fp32", "fp32-eager", "int8"} | bf16
    assert len(result["bench"]) == 2 * 2 * (6 + 2 * len(bf16))
    assert result["command"].startswith("leanformer compress ")


def test_model_card_and_page_are_there(finished):
    assert "leanformer" in (finished["folder"] / "model" / "README.md").read_text()
    assert "<html" in (finished["folder"] / "report.html").read_text()


def test_model_loads_without_leanformer(finished, tmp_path):
    """By the code that it carries; the package's door is what the verbs below go through."""
    code = LOAD.format(folder=str(finished["folder"] / "model"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    labels, imported = done.stdout.splitlines()
    assert labels == "['negative', 'positive']"
    assert imported == "False"


@pytest.mark.parametrize("place", ["small", "small/model", "small/onnx", "small/openvino/openvino_model.xml"])
def test_evaluate_agrees_wherever_the_model_lies(call, finished, workshop, place, monkeypatch):
    monkeypatch.chdir(workshop)
    done = call("evaluate", place, "--threads", 1, "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record.keys() >= {"metric", "score", "n"}
    assert record["n"] == 60
    assert record["score"] == finished["record"]["compressed"]["score"]


def test_evaluate_with_other_data_and_for_people(call, finished, workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    done = call(
        "evaluate", "small", "--data", "reviews", "--validation", "reviews/test.csv", "--metric", "f1"
    )
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("F1 ")
    assert "n = 40" in done.stdout


@pytest.mark.thorough
def test_export_of_a_run_goes_where_it_is_told(call, finished, workshop, tmp_path, monkeypatch):
    monkeypatch.chdir(workshop)
    done = call("export", "small", "--format", "onnx", "--int8", "--out", tmp_path / "exported", "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["exports"]
    assert [row["precision"] for row in rows] == ["fp32", "int8"]
    for row in rows:
        assert row["accepted"] == (tmp_path / "exported" / row["path"]).is_file()
        assert np.isfinite(row["score"])


def test_bench_of_a_run_measures_both_models(call, finished, workshop, monkeypatch):
    import leanformer.benching

    monkeypatch.chdir(workshop)
    monkeypatch.setattr(
        leanformer.benching, "installed", lambda folder: False
    )  # PyTorch alone: seconds, not minutes
    words = ("--batch", 2, "--rounds", 3, "--limit", 0, "--no-memory", "--threads", 1, "--json")
    done = call("bench", "small", *words)
    record = json.loads(done.stdout)
    assert done.exit_code == exit_code(record["gain"]), done.stderr
    assert record["gain"].keys() == {"2"}
    rows = [row for row in record["rows"] if row["precision"] == "fp32"]
    assert [(row["model"], row["batch"], row["rounds"]) for row in rows] == [
        ("dense", 2, 4),
        ("compressed", 2, 4),
    ]
    assert rows[0].keys() >= {"model", "runtime", "precision", "batch", "latency_ms", "ratio", "score"}
    assert rows[0]["ratio"] == 1.0
    assert rows[1]["score"] == finished["record"]["compressed"]["score"]


def test_bench_takes_the_exports_of_a_run_with_the_same_data(finished, workshop, monkeypatch):
    from leanformer.benching import _kept_exports
    from leanformer.reading import Reading
    from leanformer.tasks.load import DataSpec

    monkeypatch.chdir(workshop)
    assert str(_kept_exports("small/model", Reading(DataSpec("reviews")))) == "small"
    assert _kept_exports("small/model", Reading(DataSpec("reviews", metric="f1"))) is None
    assert _kept_exports("small/teacher", Reading(DataSpec("reviews"))) is None
    assert _kept_exports("bert", Reading(DataSpec("reviews"))) is None


def test_report_is_written_anew(call, finished, workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    page = finished["folder"] / "report.html"
    before = page.read_text()
    page.write_text("spoilt")
    done = call("report", "small")
    assert done.exit_code == 0, done.stderr
    assert "encoder parameters" in done.stdout
    assert page.read_text() == before


def test_finished_run_is_shown_again_by_resume(call, finished, workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    again = call("compress", "--resume", "--out", "small", "--json")
    assert json.loads(again.stdout) == finished["record"]
    assert again.exit_code == exit_code(finished["record"]["gain"], finished["record"]["budget"])


@pytest.mark.parametrize("rungs", [2, 7])
def test_the_answer_of_a_climb_shows_the_ladder_and_never_ends_with_no_gain(finished, rungs):
    from leanformer.cli.compress import answer

    record = json.loads((finished["folder"] / "result.json").read_text())
    ladder = example_ladder(rungs=rungs)
    i, j = ladder["chosen"]
    step = ladder["rungs"][i]["steps"][j]
    serve = {key: step[key] for key in ("runtime", "precision", "form")}
    record["gain"] = {"1": {"best_plain": "torch fp32", "best_compressed": "torch fp32", "gain": False}}
    record["gain"]["1"] |= {"ratio": 1.0, "low": 0.9, "high": 1.1}
    plain, climbed = answer(record), answer(record | {"method": "auto", "ladder": ladder, "serve": serve})
    assert (plain.exit_code, climbed.exit_code) == (exit_code(record["gain"]), 0)
    assert plain.exit_code != 0
    assert (plain.record["ladder"], plain.record["serve"]) == (None, None)
    assert (climbed.record["ladder"], climbed.record["serve"]) == (ladder, serve)
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(climbed.shown)
    text = " ".join(capture.get().split())
    assert "the ladder, batch 1: each rung's fastest within 1 point lost" in text
    assert "the first rung that meets it." in text
    assert ("Nothing had to be removed. Serve the original in OpenVINO int8" in text) == (rungs == 2)
    assert ("no gain" in text) == (rungs == 7)


def kill_when(seen, *arguments, folder):
    """Start a run and kill it as soon as seen() holds."""
    process = started(*arguments, folder=folder)
    deadline = time.monotonic() + PATIENCE_S
    while not seen() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def chosen(folder):
    result = json.loads((folder / "result.json").read_text())
    return next(candidate["kept"] for candidate in result["search"]["candidates"] if candidate["chosen"])


@pytest.mark.thorough
def test_the_same_job_killed_twice_ends_the_same(finished, workshop):
    """kill -9 and --resume, from the job file: the same candidate, weights and score; more: benchmarks/kills.py."""
    whole, broken = finished["folder"], workshop / "broken"
    arguments = ("compress", "--job", whole / "job.toml", "--no-export", "--out", broken)
    stops = (
        lambda: any(broken.glob(".teacher-checkpoints/checkpoint-*")),
        lambda: any(broken.glob("search/checkpoints/checkpoint-*")),
    )
    for number, seen in enumerate(stops):
        resume = ["--resume"] if number else []
        assert kill_when(seen, *arguments, *resume, folder=workshop) == -signal.SIGKILL
        assert seen(), f"the run was over before stop {number}"
    done = leanformer(*arguments, "--resume", "--json", folder=workshop)
    resumed = json.loads(done.stdout)
    assert done.returncode == exit_code(resumed["gain"], resumed["budget"]), done.stderr
    assert chosen(broken) == chosen(whole)
    for name in ("teacher", "model"):
        files = [folder / name / "model.safetensors" for folder in (broken, whole)]
        assert files[0].read_bytes() == files[1].read_bytes()
    scores = [record["compressed"]["score"] for record in (resumed, finished["record"])]
    assert scores[0] == scores[1]
    assert not list(broken.glob(".*"))
    assert not (broken / "onnx").exists()
