"""A search under limits on what may change: who keeps them goes before who does not, whoever measures."""

from __future__ import annotations

import numpy as np
import pytest
from test_engines import Killed, LosingPool

from leanformer.budget import BIAS, FLIPS
from leanformer.measure.harm import Watch
from leanformer.search.engines import Pooled
from leanformer.search.evaluate import HARMS, REPAIRED_IN_SEQUENCE, SCORE, ZERO_SHOT, Judge
from leanformer.search.space import Group, Space
from leanformer.search.strategies import Proposal, Rung, Search, overall
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict

LADDER = (Rung(ZERO_SHOT, 12, share=0.25), Rung(REPAIRED_IN_SEQUENCE, 24))
STRATEGIES = ("random", "evolve")


class Table:
    """Divergence falls with what the last group keeps, and flips rise with it."""

    def measure(self, candidate, fidelity, rows):
        if fidelity in (FLIPS, SCORE):
            return candidate[3] / 8 if fidelity == SCORE else float(candidate[3])
        return 10.0 - candidate[3]


def outcome_of(mood_task, limit, strategy="evolve", count=40):
    space = Space(tuple(Group(layer, "head", 8, 8, 1.0) for layer in range(4)), 0.5)
    watch = None if limit is None else Watch(mood_task, {FLIPS: limit})
    search = Search(Table(), space, LADDER, 0, watch=watch)
    return getattr(search, strategy)([Proposal(space.uniform(), "uniform")], count)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_candidate_that_breaks_a_limit_is_not_chosen(mood_task, strategy):
    free = outcome_of(mood_task, None, strategy).winner.candidate
    assert free[3] > 5
    outcome = outcome_of(mood_task, 5.0, strategy)
    kept = [candidate for candidate in outcome.ranked if candidate[3] <= 5]
    assert outcome.winner.candidate == outcome.ranked[0] == kept[0]
    assert list(outcome.ranked[: len(kept)]) == kept
    best = min(kept, key=lambda candidate: overall(outcome.scores[candidate]))
    assert overall(outcome.scores[kept[0]]) == overall(outcome.scores[best])


def test_where_none_keeps_them_the_nearest_is_taken(mood_task):
    outcome = outcome_of(mood_task, 0.0)
    least = min(candidate[3] for candidate in outcome.ranked)
    assert outcome.winner.candidate[3] == least > 0
    assert outcome.limits(outcome.winner.candidate)["kept"] == 0


def test_the_cost_is_what_the_free_winner_would_have_scored(mood_task):
    outcome = outcome_of(mood_task, 5.0)
    facts = outcome.limits(outcome.winner.candidate)
    reached = [one for one in outcome.ranked if one[3] <= 5]
    assert (facts["asked"], facts["judged"], facts["kept"]) == (
        {FLIPS: 5.0},
        len(outcome.ranked),
        len(reached),
    )
    most = max(candidate[3] for candidate in outcome.ranked)
    assert facts["free"]["harms"] == {FLIPS: most}
    assert facts["free"]["score"] == most / 8
    assert facts["chosen"]["harms"][FLIPS] == outcome.winner.candidate[3]
    assert outcome.proposals[facts["chosen"]["id"]] == outcome.winner
    assert outcome_of(mood_task, None).limits(outcome.winner.candidate) is None


@pytest.fixture
def watched(make_judge, mood_task, mood_held_out):
    """watched(path): a judge whose dense model is watched; every other held-out row serves as a twin."""

    def make(path) -> Judge:
        judge = make_judge(path)
        sides = [mood_held_out.select(range(start, 40, 2)) for start in (0, 1)]
        judge.watch = Watch(mood_task, {FLIPS: 10.0, BIAS: 0.001}, *sides)
        return judge

    return make


def search(judge, engine=None, strategy="evolve"):
    space = judge.realiser.space
    seeds = [Proposal(space.uniform(), "uniform")]
    return getattr(Search(judge, space, LADDER, 0, engine, judge.watch), strategy)(seeds, 14)


def test_harms_are_those_of_the_repaired_model(watched, tmp_path, tiny_tokenizer, mood_task, monkeypatch):
    monkeypatch.setattr("leanformer.training.teacher.has_fast_bfloat16", lambda: False)
    judge = watched(tmp_path / "journal.log")
    candidate = judge.realiser.space.random(np.random.default_rng(0))
    values = {name: judge.measure(candidate, name, 24) for name in HARMS}
    model = judge.realiser.build(candidate, "in sequence")
    rows, labels = judge.held_out.select(range(24)), np.asarray(judge.held_out["label"][:24])
    asked = [
        judge.watch.see(lambda part, one=one: predict(one, part, tiny_tokenizer, batch_size=64), rows)
        for one in (judge.realiser.dense, model)
    ]
    found = judge.watch.harms(*asked, labels)
    assert values[FLIPS] == found[FLIPS].value
    assert values[BIAS] == pytest.approx(found[BIAS].value, rel=1e-4)
    assert values[SCORE] == score(mood_task.metric, asked[1].logits, labels)


def test_a_model_is_built_once_for_all_that_is_asked_of_it(watched, tmp_path, monkeypatch):
    judge, built = watched(tmp_path / "journal.log"), []
    prepared = Judge._prepared
    monkeypatch.setattr(
        Judge, "_prepared", lambda self, *given: built.append(given) or prepared(self, *given)
    )
    outcome = search(judge)
    repaired = [candidate for candidate, fidelity in built if fidelity == REPAIRED_IN_SEQUENCE]
    assert sorted(repaired) == sorted(outcome.ranked)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_workers_find_the_same(watched, tmp_path, strategy):
    alone = search(watched(tmp_path / "alone.log"), strategy=strategy)
    pool = LosingPool(seed=1)
    shared = search(watched(tmp_path / "shared.log"), Pooled(pool), strategy)
    assert shared == alone
    assert {fidelity for _, fidelity, _ in pool.asked} > {FLIPS, BIAS, SCORE}
    assert shared.harms == alone.harms


@pytest.mark.parametrize("survived", [4, 16])
def test_a_killed_search_ends_with_the_same_winner(watched, tmp_path, monkeypatch, survived):
    whole, calls, measure = search(watched(tmp_path / "whole.log")), [], Judge.measure

    def mortal(self, *given):
        calls.append(given)
        if len(calls) > survived:
            raise Killed
        return measure(self, *given)

    path = tmp_path / "killed.log"
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "measure", mortal)
        with pytest.raises(Killed):
            search(watched(path))
    assert search(watched(path)) == whole
