"""The run directory: refusals, stages that are done once, and nothing half-written."""

import json
import shutil
from dataclasses import replace

import pytest

from leanformer.errors import DataError, RunError
from leanformer.export.layout import staged
from leanformer.job import Job
from leanformer.run import Run, is_run
from leanformer.tasks.load import DataSpec

JOB = Job("bert", DataSpec("reviews"), threads=2)


def make_model(path):
    path.mkdir()
    (path / "weights").write_text("new")
    return {"rows": 3, "by_batch": {1: 0.5}}


def test_new_run_holds_its_job(tmp_path):
    run = Run.create(tmp_path / "deep" / "run", JOB, resume=False)
    assert is_run(run.folder)
    assert Run.open(run.folder).job == JOB


def test_empty_folder_is_taken(tmp_path):
    assert is_run(Run.create(tmp_path, JOB, resume=False).folder)


def test_other_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="not a run"):
        Run.create(tmp_path, JOB, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(RunError, match="is a file"):
        Run.create(path, JOB, resume=False)


def test_existing_run_needs_resume(tmp_path):
    Run.create(tmp_path, JOB, resume=False)
    with pytest.raises(RunError, match="--resume"):
        Run.create(tmp_path, JOB, resume=False)
    assert Run.create(tmp_path, JOB, resume=True).job == JOB


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(JOB, seed=1), "seed"),
        (replace(JOB, model="roberta"), "model"),
        (replace(JOB, data=DataSpec("tweets")), "data.source"),
    ],
)
def test_resume_with_another_job_names_the_difference(other, named, tmp_path):
    Run.create(tmp_path, JOB, resume=False)
    with pytest.raises(RunError, match=f"another job.*{named}"):
        Run.create(tmp_path, other, resume=True)


def test_too_little_disk_is_refused_and_leaves_nothing(tmp_path):
    folder = tmp_path / "deep" / "run"
    with pytest.raises(RunError, match="not enough disk"), Run.create(folder, JOB, resume=False) as run:
        run.require_disk(1e12)
    assert list(tmp_path.iterdir()) == []


def test_enough_disk_passes(tmp_path):
    Run.create(tmp_path, JOB, resume=False).require_disk(0.001)


def test_stage_is_done_once_and_its_facts_come_back_equal(tmp_path):
    run = Run.create(tmp_path, JOB, resume=False)
    first = run.stage("compress", make_model, "model")
    assert first == {"rows": 3, "by_batch": {"1": 0.5}}
    again = Run.create(tmp_path, JOB, resume=True)
    assert again.stage("compress", lambda path: pytest.fail("done before"), "model") == first
    assert [stage["name"] for stage in again.stages()] == ["compress"]
    assert (again.artefact("model") / "weights").read_text() == "new"


def test_kill_before_the_job_was_written_whole_does_not_block_the_folder(tmp_path):
    (tmp_path / ".job.toml.partial").write_text("model = ")
    assert Run.create(tmp_path, JOB, resume=True).job == JOB
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]


def test_machine_that_refuses_is_no_reason_to_leave_something(tmp_path, monkeypatch):
    with pytest.raises(PermissionError), Run.create(tmp_path / "data", JOB, resume=False):
        raise PermissionError(13, "Permission denied", "train.csv")
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        Run.create(tmp_path / "deep" / "full", JOB, resume=False)
    assert list(tmp_path.iterdir()) == []


def test_failed_stage_leaves_nothing_half_written(tmp_path):
    run = Run.create(tmp_path, JOB, resume=False)

    def fail(path):
        make_model(path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.stage("compress", fail, "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.toml"]


def test_artefact_whose_stage_was_not_noted_is_made_again(tmp_path):
    run = Run.create(tmp_path, JOB, resume=False)
    run.artefact("model").mkdir()
    (run.artefact("model") / "old").write_text("old")
    (tmp_path / ".onnx.partial").mkdir()
    again = Run.create(tmp_path, JOB, resume=True)
    again.stage("compress", make_model, "model")
    assert [path.name for path in again.artefact("model").iterdir()] == ["weights"]
    assert not (tmp_path / ".onnx.partial").exists()


def test_scratch_folders_of_an_export_are_removed_after_a_kill(tmp_path):
    Run.create(tmp_path, JOB, resume=False)
    with staged(tmp_path / "onnx", "last") as scratch:
        (scratch / "last").write_text("half")
        left = shutil.copytree(scratch, scratch.with_name(scratch.name.replace(".onnx-", ".onnx-killed")))
    Run.create(tmp_path, JOB, resume=True)
    assert not left.exists()
    assert (tmp_path / "onnx" / "last").exists()


def test_log_line_that_a_kill_cut_short_is_forgotten(tmp_path):
    run = Run.create(tmp_path, JOB, resume=False)
    run.stage("one", lambda path: {"text": "line\u2028separator ü"})
    run.stage("two", lambda path: {"n": 2})
    log = run.artefact("log.jsonl")
    log.write_bytes(log.read_bytes()[:-7])
    again = Run.create(tmp_path, JOB, resume=True)
    assert again.finished("one") == {"text": "line\u2028separator ü"}
    assert again.finished("two") is None
    again.stage("two", lambda path: {"n": 3})
    assert [json.loads(line)["stage"] for line in log.read_text().split("\n")[:-1]] == ["one", "two"]


def test_refused_run_is_removed_but_one_that_had_begun_is_kept(tmp_path):
    with pytest.raises(DataError), Run.create(tmp_path / "refused", JOB, resume=False):
        raise DataError("the file has one class only")
    assert not (tmp_path / "refused").exists()
    with Run.create(tmp_path / "kept", JOB, resume=False) as run:
        run.stage("teacher", lambda path: {})
    with pytest.raises(DataError), Run.create(tmp_path / "kept", JOB, resume=True):
        raise DataError("again")
    assert is_run(tmp_path / "kept")


def test_unknown_artefact_is_a_mistake_of_ours(tmp_path):
    with pytest.raises(KeyError):
        Run.create(tmp_path, JOB, resume=False).artefact("weights.bin")


def test_folder_that_is_no_run_can_not_be_opened(tmp_path):
    with pytest.raises(RunError, match="not a run"):
        Run.open(tmp_path)
