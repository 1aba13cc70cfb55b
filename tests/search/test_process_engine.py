"""Two processes that search together, played by two threads: each measures its share, both learn all values."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from leanformer.search import process_engine
from leanformer.search.evaluate import ZERO_SHOT
from leanformer.search.journal import Journal, Unwritten
from leanformer.search.process_engine import ProcessPool, shared_journal

PATIENCE_S = 60


class Rendezvous:
    """What `leanformer.training.processes` is to two processes, for two threads."""

    def __init__(self) -> None:
        self.met = threading.Barrier(2)
        self.local = threading.local()
        self.brought: dict[int, object] = {}

    def count(self) -> int:
        return 2

    def rank(self) -> int:
        return self.local.rank

    def gathered(self, mine):
        self.brought[self.rank()] = mine
        self.met.wait(PATIENCE_S)
        both = [self.brought[0], self.brought[1]]
        self.met.wait(PATIENCE_S)
        return both


@pytest.mark.parametrize("number", [1, 4, 5])
def test_each_process_measures_its_share_and_learns_all(make_judge, tmp_path, monkeypatch, number):
    processes = Rendezvous()
    monkeypatch.setattr(process_engine, "processes", processes)
    judges = [make_judge(tmp_path / f"{rank}.log") for rank in range(2)]
    space = judges[0].realiser.space
    keys = [judges[0].key(space.at(0.1 * step), ZERO_SHOT, 16) for step in range(number)]
    asked: dict[int, list] = {0: [], 1: []}
    expected = [judges[0].evaluate(*key) for key in keys]

    def search(rank: int) -> list[float]:
        processes.local.rank = rank
        judge, evaluate = judges[rank], judges[rank].evaluate
        judge.evaluate = lambda *key: (asked[rank].append(key), evaluate(*key))[1]
        return [found.value for found in ProcessPool().measurements(judge, keys)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(search, range(2))) == [expected, expected]
    assert (asked[0], asked[1]) == (keys[0::2], keys[1::2])


def test_a_journal_alone_is_written(tmp_path):
    journal = shared_journal(tmp_path / "journal.log", "search")
    assert not isinstance(journal, Unwritten)
    journal.record(((1, 2), ZERO_SHOT, 8), 0.5, 1.0)
    assert Journal(tmp_path / "journal.log", "search").get(((1, 2), ZERO_SHOT, 8))["value"] == 0.5


def test_a_follower_knows_what_the_leader_knows_and_writes_nothing(tmp_path, monkeypatch):
    known = {((1, 2), ZERO_SHOT, 8): {"value": 0.5, "seconds": 1.0}}
    monkeypatch.setattr(process_engine.processes, "leads", lambda: False)
    monkeypatch.setattr(process_engine.processes, "from_leader", lambda find: known)
    journal = shared_journal(tmp_path / "journal.log", "search")
    journal.record(((2, 1), ZERO_SHOT, 8), 0.4, 1.0)
    assert journal.get(((1, 2), ZERO_SHOT, 8)) == known[(1, 2), ZERO_SHOT, 8]
    assert not list(tmp_path.iterdir())
