"""Engines: whoever measures, in whatever order workers finish or die, the search and its journal are the same."""

from __future__ import annotations

import pickle
import random
import sys
from types import ModuleType

import numpy as np
import pytest

from leanformer.errors import LeanformerError, RunError
from leanformer.search.engines import InProcess, Measurement, Pooled, open_engine
from leanformer.search.evaluate import RECONSTRUCTION, REPAIRED, REPAIRED_IN_SEQUENCE, ZERO_SHOT, Judge
from leanformer.search.journal import Unwritten
from leanformer.search.ray_engine import _told
from leanformer.search.strategies import Outcome, Proposal, Rung, Search

LADDER = (Rung(ZERO_SHOT, 12, share=0.25), Rung(REPAIRED_IN_SEQUENCE, 24))
STRATEGIES = ("random", "evolve")


class Killed(Exception):
    pass


class LosingPool:
    """Workers that finish in any order and now and then die, on copies of the judge that crossed a wire."""

    def __init__(self, seed: int = 0, dies_after: int | None = None) -> None:
        self.chooser = random.Random(seed)
        self.dies_after = dies_after
        self.asked: list[tuple] = []
        self.lost = 0

    def measurements(self, judge, keys):
        self.asked += keys
        wire = pickle.dumps(judge.parcel())
        workers = [pickle.loads(wire) for _ in range(3)]
        waiting, found = list(keys), {}
        while waiting:
            key = waiting.pop(self.chooser.randrange(len(waiting)))
            value = self.chooser.choice(workers).evaluate(*key)
            if self.chooser.random() < 0.3:
                self.lost += 1
                waiting.append(key)
            else:
                found[key] = Measurement(value, self.chooser.random())
        for key in keys:
            if self.dies_after == 0:
                raise Killed
            self.dies_after = None if self.dies_after is None else self.dies_after - 1
            yield found[key]


def seeds_of(judge: Judge) -> list[Proposal]:
    space = judge.realiser.space
    steep = space.project(np.linspace(0.0, 1.0, len(space.groups)))
    return [Proposal(space.uniform(), "uniform"), Proposal(steep, "global")]


def search(judge: Judge, engine, strategy: str = "evolve", count: int = 20) -> Outcome:
    seeker = Search(judge, judge.realiser.space, LADDER, 0, engine)
    return getattr(seeker, strategy)(seeds_of(judge), count)


def written(judge: Judge) -> list[tuple]:
    """What the journal's file holds, in its order, without times."""
    facts = [(trial.user_attrs, trial.value) for trial in judge.journal.study.trials]
    return [(tuple(fact["candidate"]), fact["fidelity"], fact["rows"], value) for fact, value in facts]


@pytest.mark.parametrize("strategy", [pytest.param("random", marks=pytest.mark.thorough), "evolve"])
def test_lost_workers_change_neither_the_outcome_nor_the_journal(make_judge, tmp_path, strategy):
    alone, shared = make_judge(tmp_path / "alone.log"), make_judge(tmp_path / "shared.log")
    pool = LosingPool()
    assert search(shared, Pooled(pool), strategy) == search(alone, None, strategy)
    assert pool.lost > 0
    assert written(shared) == written(alone)
    assert len(pool.asked) == len(set(pool.asked)) == len(written(alone))


@pytest.mark.parametrize(
    "survived", [3, *(pytest.param(count, marks=pytest.mark.thorough) for count in (0, 21))]
)
def test_a_killed_search_goes_on_with_another_engine(make_judge, tmp_path, survived):
    whole = make_judge(tmp_path / "whole.log")
    expected, path = search(whole, InProcess()), tmp_path / "killed.log"
    with pytest.raises(Killed):
        search(make_judge(path), Pooled(LosingPool(1, dies_after=survived)))
    judge = make_judge(path)
    assert written(judge) == written(whole)[:survived]
    assert search(judge, InProcess()) == expected
    assert written(judge) == written(whole)
    pool = LosingPool()
    assert search(make_judge(path), Pooled(pool)) == expected
    assert pool.asked == []  # all of it is known


def test_a_candidate_asked_for_twice_is_measured_once(make_judge, tmp_path):
    judge, pool = make_judge(tmp_path / "journal.log"), LosingPool()
    one, other = (proposal.candidate for proposal in seeds_of(judge))
    values = list(Pooled(pool).measure(judge, [one, other, one], ZERO_SHOT, 12))
    assert values[0] == values[2] != values[1]
    assert len(pool.asked) == len(written(judge)) == 2


def test_what_costs_nothing_stays_at_home(make_judge, tmp_path):
    judge, pool = make_judge(tmp_path / "journal.log"), LosingPool()
    judge.level_errors = [np.ones(group.levels + 1) for group in judge.realiser.space.groups]
    candidates = [proposal.candidate for proposal in seeds_of(judge)]
    assert list(Pooled(pool).measure(judge, candidates, RECONSTRUCTION, 0)) == [6.0, 6.0]
    assert pool.asked == []


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_a_parcel_measures_what_the_judge_measures(make_judge, tmp_path, granularity):
    judge = make_judge(tmp_path / "journal.log", granularity)
    candidate = judge.realiser.space.uniform()
    judge.measure(candidate, REPAIRED, 48)  # what was solved before does not travel
    parcel = pickle.loads(pickle.dumps(judge.parcel()))
    assert isinstance(parcel.journal, Unwritten)
    assert parcel.short_training is None
    for fidelity in (ZERO_SHOT, REPAIRED, REPAIRED_IN_SEQUENCE):
        assert parcel.evaluate(*judge.key(candidate, fidelity, 30)) == judge.measure(candidate, fidelity, 30)


def test_an_unwritten_journal_remembers():
    key = ((1, 2), ZERO_SHOT, 8)
    journal = Unwritten({key: {"value": 1.0, "seconds": 2.0}})
    journal.record(((2, 1), ZERO_SHOT, 8), 3.0, 4.0)
    assert journal.get(key) == {"value": 1.0, "seconds": 2.0}
    assert journal.seconds == 6.0


@pytest.mark.parametrize(
    ("engine", "address", "message"),
    [
        ("dask", None, "no engine 'dask': choose --engine in-process or ray"),
        ("in-process", "10.0.0.1:6379", "--address 10.0.0.1:6379 names a Ray cluster: add --engine ray"),
        ("ray", "somewhere", "--address somewhere is not HOST:PORT"),
        ("ray", "127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("ray", "127.0.0.1:99999", "no Ray cluster answers at 127.0.0.1:99999"),
    ],
)
def test_an_engine_that_can_not_work_is_refused(monkeypatch, engine, address, message):
    fake = ModuleType("ray")
    fake.is_initialized = lambda: False
    monkeypatch.setitem(sys.modules, "ray", fake)
    with pytest.raises(RunError, match=message), open_engine(engine, address):
        pass


def test_ray_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LeanformerError, match=r'pip install "leanformer\[ray\]"'), open_engine("ray"):
        pass


def test_errors_of_workers_are_told_in_our_words():
    def raised(cause: Exception) -> BaseException:
        wrapped = Exception("a traceback of forty lines")
        wrapped.cause = cause
        return _told(wrapped)

    assert str(raised(RunError("node x has torch 1: make the machines alike"))).startswith(
        "node x has torch 1"
    )
    assert "install leanformer there" in str(raised(ModuleNotFoundError("No module named 'leanformer'")))
    assert "forty lines" in str(raised(ZeroDivisionError()))


def test_in_process_is_the_default():
    with open_engine() as engine:
        assert isinstance(engine, InProcess)
