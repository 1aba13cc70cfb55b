"""kill -9 at any stage, then --resume: the same candidate, the same weights, the same score."""

import json
import signal
import time

from cli_process import leanformer, started

PATIENCE_S = 120.0
ARGUMENTS = ("bert", "--data", "reviews", "--no-export", "--quick", "--threads", 1)


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


def test_killed_run_resumes_to_the_same_result(workshop):
    whole, broken = workshop / "whole", workshop / "broken"
    arguments = ("compress", *ARGUMENTS, "--out", broken)
    assert leanformer("compress", *ARGUMENTS, "--out", whole, folder=workshop).returncode == 0
    stops = (
        lambda: any(broken.glob(".teacher-checkpoints/checkpoint-*")),
        lambda: (broken / "search" / "journal.log").is_file(),
        lambda: any(broken.glob("search/checkpoints/checkpoint-*")),
        lambda: (broken / "model").is_dir(),
    )
    for number, seen in enumerate(stops):
        resume = ["--resume"] if number else []
        assert kill_when(seen, *arguments, *resume, folder=workshop) == -signal.SIGKILL
        assert seen(), f"the run was over before stop {number}"
    done = leanformer(*arguments, "--resume", "--json", folder=workshop)
    assert done.returncode == 0, done.stderr
    assert chosen(broken) == chosen(whole)
    for name in ("teacher", "model"):
        files = [folder / name / "model.safetensors" for folder in (broken, whole)]
        assert files[0].read_bytes() == files[1].read_bytes()
    score = json.loads((whole / "result.json").read_text())["compressed"]["score"]
    assert json.loads(done.stdout)["compressed"]["score"] == score
    assert not list(broken.glob(".*"))
