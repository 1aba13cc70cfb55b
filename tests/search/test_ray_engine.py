"""A real Ray cluster of several nodes on this machine; one is killed while it measures."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from test_engines import search, seeds_of, written

from leanformer.errors import RunError
from leanformer.search import ray_engine
from leanformer.search.engines import Pooled, open_engine
from leanformer.search.evaluate import ZERO_SHOT
from leanformer.search.realise import Realiser
from ray_cluster import PATIENCE_S, ray_cluster

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Watched(Realiser):
    """Leaves a file a candidate and node, and takes its time, so that a node can be killed at work."""

    folder: Path = Path()

    def build(self, candidate, repair):
        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{node} {candidate} {repair} {time.time()}").touch()
        time.sleep(0.5)
        return super().build(candidate, repair)


def watched(judge, folder: Path):
    """Return the judge, with dense answers that are known, and a realiser that leaves traces."""
    judge.dense_logits()
    fields = {
        name: getattr(judge.realiser, name) for name in ("dense", "space", "scores", "moments", "stream")
    }
    folder.mkdir()
    return replace(judge, realiser=Watched(**fields, folder=folder))


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster(sys.modules[__name__]) as made:
        yield made


def traces(folder: Path) -> list[tuple[str, str]]:
    """Return (node, candidate and repair) of each measurement that was begun."""
    return [tuple(path.name.rsplit(" ", 1)[0].split(" ", 1)) for path in folder.iterdir()]


def test_a_killed_node_changes_neither_the_winner_nor_the_journal(cluster, make_judge, tmp_path):
    expected = make_judge(tmp_path / "alone.log")
    outcome = search(expected, None)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=10**8) for _ in range(2)]
    cluster.wait_for_nodes()
    doomed, folder = nodes[1].node_id, tmp_path / "traces"
    judge = watched(make_judge(tmp_path / "shared.log"), folder)

    def kill() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not any(node == doomed for node, _ in traces(folder)):
            time.sleep(0.02)
        cluster.remove_node(nodes[1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with open_engine("ray", cluster.address) as engine:
            assert search(judge, engine) == outcome
    finally:
        killer.join()
        cluster.remove_node(nodes[0])
    assert written(judge) == written(expected)
    begun = traces(folder)
    assert {node for node, _ in begun} == {node.node_id for node in nodes}
    lost = {what for node, what in begun if node == doomed} & {what for node, what in begun if node != doomed}
    assert lost  # begun on both: measured again elsewhere
    assert len(begun) == len(written(expected)) + len(lost)  # nothing else was measured twice


def test_a_cluster_without_room_is_told(cluster, make_judge, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_engine, "PATIENCE_S", 1.0)
    judge = make_judge(tmp_path / "journal.log")
    with open_engine("ray", cluster.address) as engine:
        assert isinstance(engine, Pooled)
        with pytest.raises(RunError, match="no node of the Ray cluster has 1 processors"):
            list(engine.measure(judge, [seeds_of(judge)[0].candidate], ZERO_SHOT, 8))
    assert written(judge) == []


def test_other_packages_on_a_node_are_told(cluster, make_judge, tmp_path, monkeypatch):
    facts = {**ray_engine.package_facts(), "torch": "0.1"}
    monkeypatch.setattr(ray_engine, "package_facts", lambda: facts)
    judge = make_judge(tmp_path / "journal.log")
    node = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    try:
        with (
            open_engine("ray", cluster.address) as engine,
            pytest.raises(
                RunError, match=r"of the Ray cluster has torch .*, not 0\.1: make the machines alike"
            ),
        ):
            list(engine.measure(judge, [seeds_of(judge)[0].candidate], ZERO_SHOT, 8))
    finally:
        cluster.remove_node(node)
