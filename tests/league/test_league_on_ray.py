"""A league whose searches measure their candidates on a Ray cluster of two nodes: the same table."""

from __future__ import annotations

import sys

import pytest

from leanformer.budget import Budget
from leanformer.job import Job
from leanformer.league import timing
from leanformer.league.grid import league_of
from leanformer.league.play import play
from leanformer.search.engines import open_engine
from leanformer.tasks.load import DataSpec
from ray_cluster import ray_cluster

pytestmark = pytest.mark.slow
SEARCHED = ("ae-bert", "one-shot", "length-adaptive")
TIMES = ("seconds", "minutes")


@pytest.fixture
def cluster():
    with ray_cluster(sys.modules[__name__]) as made:
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=10**8)
        made.wait_for_nodes()
        yield made


def test_candidates_measured_elsewhere_give_the_same_table(
    cluster, tiny_task, tiny_model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(timing, "installed", lambda folder: False)
    job = Job(str(tiny_model_folder), DataSpec(str(tiny_task)), Budget(0.4), threads=1, quick=True)
    league = league_of(job, SEARCHED, limit_s=0.0, timing=False)
    alone = play(league, tmp_path / "alone")
    with open_engine("ray", cluster.address) as engine:
        spread = play(league, tmp_path / "spread", engine=engine)
    for record in (alone, spread):
        assert {row["method"] for row in record["rows"]} == set(SEARCHED)
    compared = [
        {row["method"]: (row["score"], row["reached"], row["drop_points"]) for row in record["rows"]}
        for record in (alone, spread)
    ]
    assert compared[0] == compared[1]
