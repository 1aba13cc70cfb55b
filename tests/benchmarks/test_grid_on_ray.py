"""Cells on a cluster: what they read travels to them, what they find comes back, and the driver writes it."""

from __future__ import annotations

import json
import os
import sys

import pytest

import grid_on_ray
from grid_on_ray import Ended, Luggage, packed, received, run_cells_on_ray, unpack

SCRIPT = """
import argparse, json, os
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--cell")
cell = parser.parse_args().cell
scratch, results = (Path(os.environ[f"LEANFORMER_BENCH_{name}"]) for name in ("SCRATCH", "RESULTS"))
print("this is", cell)
if cell == "broken":
    raise SystemExit(1)
teacher = scratch / "home" / "teacher"
if cell == "dense":
    (teacher / "deep").mkdir(parents=True)
    (teacher / "deep" / "weights").write_text("of the teacher")
(results / "study").mkdir(exist_ok=True)
content = {"cell": cell, "teacher": (teacher / "deep" / "weights").read_text(), "here": str(results)}
(results / "study" / f"{cell}.json").write_text(json.dumps(content))
"""


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The driver's own results and scratch folders."""
    found = {name: tmp_path / name.lower() for name in ("RESULTS", "SCRATCH")}
    for name, folder in found.items():
        folder.mkdir()
        monkeypatch.setattr(grid_on_ray, name, folder)
        monkeypatch.setattr(sys.modules["grid"], name, folder)
    return found


def luggage(name: str) -> Luggage:
    teacher = ("home/teacher",)
    return Luggage(
        () if name == "dense" else teacher, teacher if name == "dense" else (), f"study/{name}.json"
    )


def test_a_folder_travels_whole(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"\x00\xff")
    (tmp_path / "a" / "d").write_text("d")
    files = packed(tmp_path / "a")
    assert files == {"b/c": b"\x00\xff", "d": b"d"}
    (tmp_path / "there" / "old").mkdir(parents=True)
    unpack(files, tmp_path / "there")
    assert packed(tmp_path / "there") == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "there"]


def test_what_a_cell_sends_is_written_by_the_driver(places, capsys):
    ended = Ended(0, "done", 1.0, b"{}", {"home/teacher": {"weights": b"w"}})
    assert received("dense", luggage("dense"), ended) == 0
    assert (places["RESULTS"] / "study" / "dense.json").read_bytes() == b"{}"
    assert (places["SCRATCH"] / "home" / "teacher" / "weights").read_bytes() == b"w"
    assert (places["SCRATCH"] / "logs" / "dense.log").read_text() == "done"
    for failed in (Ended(1, "no", 1.0, None, {}), Ended(0, "silent", 1.0, None, {})):
        assert received("failed", luggage("failed"), failed) == 1
    assert not (places["RESULTS"] / "study" / "failed.json").exists()
    assert "failed: FAILED" in capsys.readouterr().out


@pytest.mark.slow
def test_cells_run_on_other_nodes(places, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 10**8})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=10**8)
        cluster.wait_for_nodes()
        failed = [
            run_cells_on_ray(str(script), names, (), 1, cluster.address, luggage)
            for names in (["dense"], ["one", "two", "broken"])
        ]
    finally:
        cluster.shutdown()
    assert failed == [0, 1]
    facts = [
        json.loads((places["RESULTS"] / "study" / f"{name}.json").read_text()) for name in ("one", "two")
    ]
    assert [one["teacher"] for one in facts] == ["of the teacher"] * 2
    assert all(str(places["RESULTS"]) not in one["here"] for one in facts)
    assert sorted(path.name for path in (places["RESULTS"] / "study").iterdir()) == [
        *("dense.json", "one.json", "two.json")
    ]
    assert "this is broken" in (places["SCRATCH"] / "logs" / "broken.log").read_text()
