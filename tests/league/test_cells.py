"""Lanes of a league: they end with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLEEPERS = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from leanformer.league.cells import _begin_lane

def sleep(_):
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), _begin_lane, (2,)) as pool:
        list(pool.map(sleep, range(2)))
"""


def lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_a_killed_league_leaves_no_lane_behind(tmp_path):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    league = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    lanes = [int(league.stdout.readline()) for _ in range(2)]
    assert all(map(lives, lanes))

    league.kill()
    league.wait()
    deadline = time.monotonic() + 20.0
    while any(map(lives, lanes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(lives, lanes))
