"""The referee of kills: it sees broken files, kills whole groups, and finds what was left alive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import kills

SLEEPER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    """A run folder with one file of each kind, all whole."""
    (tmp_path / "model").mkdir()
    (tmp_path / "search").mkdir()
    (tmp_path / "job.toml").write_text('model = "bert"\n')
    (tmp_path / "result.json").write_text("{}")
    (tmp_path / "log.jsonl").write_text(json.dumps({"stage": "dense teacher"}) + "\n")
    (tmp_path / "search" / "journal.log").write_text('{"op_code": 0}\n')
    save_file({"weight": np.ones((4, 4), np.float32)}, tmp_path / "model" / "model.safetensors")
    return tmp_path


def files(folder):
    return (path for path in folder.rglob("*") if path.is_file())


def test_whole_files_can_be_read(run):
    assert kills.unreadable(files(run)) == []
    assert {path.name for path in kills.artefacts(run)} == {"job.toml", "result.json", "model.safetensors"}
    assert kills.stage_of(run) == "after dense teacher"
    assert kills.stage_of(run / "model") == "before the first stage was done"


@pytest.mark.parametrize(
    "name", ["job.toml", "result.json", "log.jsonl", "search/journal.log", "model/model.safetensors"]
)
def test_a_cut_file_is_seen(run, name):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: len(content) - 3] if len(content) > 3 else b"{")
    (trouble,) = kills.unreadable(files(run))
    assert trouble.startswith(name.rsplit("/", 1)[-1])


def test_what_is_half_written_under_a_hidden_name_is_no_artefact(run):
    (run / ".model.partial").mkdir()
    (run / ".model.partial" / "config.json").write_text("{")
    assert kills.unreadable(kills.artefacts(run)) == []


def test_a_run_is_killed_with_its_group():
    assert kills.kill_at(1.0, [sys.executable, "-c", SLEEPER])
    assert kills.orphans() == []
    assert not kills.kill_at(30.0, [sys.executable, "-c", "pass"])


def test_a_process_that_left_the_group_is_found_and_ended():
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env=kills.environment(), start_new_session=True
    )
    deadline = time.monotonic() + 20
    mark = f"{kills.MARK}={os.getpid()}".encode()
    while left.pid not in kills.marked(mark) and time.monotonic() < deadline:
        time.sleep(0.01)
    kills.DEATH_S, patience = 0.1, kills.DEATH_S
    try:
        (words,) = kills.orphans()
    finally:
        kills.DEATH_S = patience
    assert "time.sleep(60)" in words
    assert left.wait(timeout=20) < 0


def test_openvino_may_not_report_its_use(tmp_path):
    # In a process of its own: another test's import of the telemetry would stay in this one.
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    code = (
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(kills.__file__).parent)!r})\n"
        "import kills\n"
        f"(trouble,) = kills.unreadable([Path({str(tmp_path)!r}) / 'openvino_model.xml'])\n"
        "print(trouble)\n"
        "import openvino_telemetry\n"  # it is installed: NNCF and OpenVINO bring it
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("openvino_model.xml: ")
    assert "import of openvino_telemetry halted" in ended.stderr
