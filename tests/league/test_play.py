"""A whole league on a tiny model in PyTorch alone: killed, gone on with, grown; one cell is refused."""

import json
import shutil
from dataclasses import replace

import pytest

from leanformer.budget import Budget
from leanformer.errors import ModelError, RunError
from leanformer.job import Job
from leanformer.league import cells, timing
from leanformer.league.grid import league_of
from leanformer.league.play import play
from leanformer.pipeline import REPORT_STAGE
from leanformer.run import Run
from leanformer.tasks.load import DataSpec
from tiny import build_rows, write_csv

METHODS = ("uniform-magnitude", "drop-layers", "one-shot")  # of two layers none can be six tenths
REFUSED = "drop-layers"


@pytest.fixture(autouse=True)
def in_torch_alone(monkeypatch):
    monkeypatch.setattr(timing, "installed", lambda folder: False)


@pytest.fixture
def league(tiny_task, tiny_model_folder):
    write_csv(tiny_task / "test.csv", ("sentence", "label"), build_rows(40, seed=3))
    job = Job(str(tiny_model_folder), DataSpec(str(tiny_task)), Budget(0.6), threads=1, quick=True)
    return league_of(job, METHODS, limit_s=0.0)


@pytest.fixture
def counted(monkeypatch):
    """Names of the cells that really work, and batch sizes that are really timed."""
    work = []
    real_run, real_bench = cells.run_job, timing.bench

    def run(job, folder, **others):
        done = (folder / "job.toml").is_file() and Run.open(folder).finished(REPORT_STAGE) is not None
        work.extend([] if done else [folder.name])
        return real_run(job, folder, **others)

    def bench(models, *others, batches, **settings):
        work.extend(f"batch {size}" for size in batches)
        return real_bench(models, *others, batches=batches, **settings)

    monkeypatch.setattr(cells, "run_job", run)
    monkeypatch.setattr(timing, "bench", bench)
    return work


def test_a_league_is_killed_gone_on_with_and_grown(league, counted, tmp_path, monkeypatch):
    out = tmp_path / "league"
    real = timing.bench

    def killed(*others, batches, **settings):
        if batches == [8]:
            raise KeyboardInterrupt
        return real(*others, batches=batches, **settings)

    monkeypatch.setattr(timing, "bench", killed)
    with pytest.raises(KeyboardInterrupt):
        play(league, out)
    assert counted == ["uniform-magnitude-0.6-0", "drop-layers-0.6-0", "one-shot-0.6-0", "batch 1"]
    assert not (out / "league.json").exists()
    monkeypatch.setattr(timing, "bench", real)
    counted.clear()
    teacher = (out / "dense" / "teacher" / "model.safetensors").stat().st_mtime_ns

    unfinished = out / "cells" / "one-shot-0.6-0" / "log.jsonl"  # as after a kill before its scores
    lines = unfinished.read_text().splitlines(keepends=True)
    unfinished.write_text("".join(line for line in lines if '"scores"' not in line and "report" not in line))
    record = play(league, out, resume=True)
    assert counted == ["drop-layers-0.6-0", "one-shot-0.6-0", "batch 8"]
    assert (out / "dense" / "teacher" / "model.safetensors").stat().st_mtime_ns == teacher
    check(record, out)

    counted.clear()
    assert play(league, out, resume=True)["rows"] == record["rows"]
    assert counted == ["drop-layers-0.6-0"]  # what was refused costs little, and is tried again

    counted.clear()
    grown = play(replace(league, methods=(*METHODS, "taylor-heads")), out, resume=True)
    assert counted == ["drop-layers-0.6-0", "taylor-heads-0.6-0", "batch 1", "batch 8"]
    assert len(grown["rows"]) == 3


def check(record, out):
    """Look at a league's record: figures are those of the cells, the refused one has its sentence."""
    assert record == json.loads((out / "league.json").read_text())
    assert (out / "league.html").read_text().startswith("<!doctype html>")
    (refused,) = record["refused"]
    assert refused["method"] == REFUSED
    assert "layers" in refused["sentence"]
    assert not (out / "cells" / f"{REFUSED}-0.6-0").exists()
    assert [row["drop_points"] for row in record["rows"]] == sorted(
        row["drop_points"] for row in record["rows"]
    )
    for row in record["rows"]:
        cell = json.loads((out / row["cells"][0] / "result.json").read_text())
        assert row["score"] == cell["compressed"]["score"]
        assert [row["drop_low"], row["drop_high"]] == cell["drop_interval"]
        assert row["test"]["n"] == 40
        assert row["reached"] == pytest.approx(0.6, abs=0.02)
        assert (row["steps"] > 0) == (row["method"] == "uniform-magnitude")
        assert row["speeds"].keys() == {"1", "8"}
        assert cell["bench"] == []
        assert not (out / row["cells"][0] / "onnx").exists()
    assert record["dense"]["score"] == cell["dense"]["score"]
    assert record["dense"]["speeds"]["8"]["fp32"]["ratio"] == 1.0


def test_another_league_in_the_same_folder_is_refused(league, tmp_path):
    out = tmp_path / "league"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not a league"):
        play(league, out)
    assert [item.name for item in out.iterdir()] == ["notes.txt"]
    Run.create(tmp_path / "other" / "dense", league.job, resume=False)
    with pytest.raises(RunError, match="add --resume"):
        play(league, tmp_path / "other")
    with pytest.raises(RunError, match="differs in threads"):
        play(replace(league, job=replace(league.job, threads=2)), tmp_path / "other", resume=True)


def test_bad_data_leave_nothing_behind(league, tmp_path):
    shutil.rmtree(league.job.data.source)
    with pytest.raises(Exception, match="tiny_task"):
        play(league, tmp_path / "new" / "league")
    assert not (tmp_path / "new").exists()


def test_a_league_of_refusals_is_an_error(league, tmp_path):
    with pytest.raises(RunError, match=r"no method came to an end: .*layers"):
        play(replace(league, methods=(REFUSED,)), tmp_path / "league")


def test_a_league_at_another_ratio_takes_over_what_was_trained(league, tmp_path):
    first = replace(league, methods=("fastbert", "uniform-magnitude"), timing=False)
    first = replace(first, job=replace(first.job, budget=Budget(0.4)))
    high = play(first, tmp_path / "high")
    job = replace(league.job, budget=Budget(0.2))
    second = league_of(job, first.methods, timing=False, trained=tmp_path / "high")
    low = play(second, tmp_path / "low")
    options = {
        cell.method.name: cell.job.options for cell in second.cells(tmp_path / "low" / "dense" / "teacher")
    }
    assert options["fastbert"]["trained"] == str(tmp_path / "high" / "cells" / "fastbert-0.4-0")
    assert "trained" not in options["uniform-magnitude"]
    models = [tmp_path / one / "dense" / "teacher" / "model.safetensors" for one in ("high", "low")]
    assert models[0].read_bytes() == models[1].read_bytes()
    minutes = [
        next(row["minutes"] for row in one["rows"] if row["method"] == "fastbert") for one in (high, low)
    ]
    assert minutes[1] > 0.5 * minutes[0]  # they hold the training that was taken over
    assert f"--trained {tmp_path / 'high'}" in low["command"]
    assert play(second, tmp_path / "low", resume=True)["rows"] == low["rows"]
    slow = replace(second, job=replace(second.job, quick=False))
    with pytest.raises(RunError, match="differs in quick"):
        play(slow, tmp_path / "slow")
    assert not (tmp_path / "slow").exists()


def test_scores_alone_in_lanes_are_those_of_one_lane(league, tmp_path):
    alone = play(replace(league, timing=False), tmp_path / "alone")
    side = play(replace(league, timing=False), tmp_path / "side", lanes=2)
    assert [row["method"] for row in side["rows"]] == [row["method"] for row in alone["rows"]]
    assert [row["score"] for row in side["rows"]] == [row["score"] for row in alone["rows"]]
    assert [one["method"] for one in side["refused"]] == [REFUSED]
    assert side["batches"] == []
    assert "--no-timing" in side["command"]
    assert "Nothing was timed" in (tmp_path / "side" / "league.html").read_text()
    assert all(row["beaten_by"] is None for row in side["rows"])


def test_a_model_that_can_not_be_exported_is_timed_in_what_is_left(league, tmp_path, monkeypatch):
    real = timing.ensure_artefact

    def exports(folder, *others, **settings):
        if "one-shot" in str(folder):
            raise ModelError("it answers otherwise")
        return real(folder, *others, **settings)

    monkeypatch.setattr(timing, "ensure_artefact", exports)
    monkeypatch.setattr(timing, "installed", lambda folder: folder == "onnx")
    methods = ("uniform-magnitude", "one-shot")
    record = play(replace(league, methods=methods, int8=False), tmp_path / "league")
    assert record["untimed"] == [{"method": "one-shot", "runtime": "onnxruntime", "precision": "fp32"}]
    by_name = {row["method"]: row["speeds"]["8"]["fp32"]["runtime"] for row in record["rows"]}
    assert by_name["one-shot"] == "torch"
    assert "was not timed in" in (tmp_path / "league" / "league.html").read_text()
