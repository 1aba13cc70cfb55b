"""Strategies: same seed same search, never below the seeds, and a killed search ends where it would have."""

from __future__ import annotations

import numpy as np
import pytest

from leanformer.search.evaluate import REPAIRED, ZERO_SHOT, Judge
from leanformer.search.space import Group, Space
from leanformer.search.strategies import (
    PARENTS,
    SURVIVORS,
    Outcome,
    Proposal,
    Rung,
    Search,
    overall,
)

LADDER = (Rung(ZERO_SHOT, 12, share=0.25), Rung(REPAIRED, 24))
STRATEGIES = ("random", "evolve")


class Killed(Exception):
    pass


def seeds_of(judge: Judge) -> list[Proposal]:
    space = judge.realiser.space
    steep = space.project(np.linspace(0.0, 1.0, len(space.groups)))
    return [Proposal(space.uniform(), "uniform"), Proposal(steep, "global")]


def search(judge: Judge, strategy: str, count: int = 14, seed: int = 0) -> Outcome:
    return getattr(Search(judge, judge.realiser.space, LADDER, seed), strategy)(seeds_of(judge), count)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_search_proposes_as_many_as_asked_and_climbs(make_judge, tmp_path, strategy):
    judge = make_judge(tmp_path / "journal.log")
    outcome = search(judge, strategy)
    assert len(outcome.proposals) == len({proposal.candidate for proposal in outcome.proposals}) == 14
    assert all(judge.realiser.space.fits(proposal.candidate) for proposal in outcome.proposals)
    first, last = (rung.name for rung in LADDER)
    assert all(first in outcome.scores[proposal.candidate] for proposal in outcome.proposals)
    climbed = {candidate for candidate, scores in outcome.scores.items() if last in scores}
    assert climbed >= {proposal.candidate for proposal in seeds_of(judge)}
    best = sorted(outcome.scores, key=lambda candidate: outcome.scores[candidate][first])
    assert climbed == {*best[:4], *(proposal.candidate for proposal in seeds_of(judge))}  # a quarter of 14
    both = {candidate: overall(outcome.scores[candidate]) for candidate in climbed}
    assert both[outcome.winner.candidate] == min(both.values())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_winner_is_never_worse_than_the_seeds(make_judge, tmp_path, strategy, seed):
    judge = make_judge(tmp_path / "journal.log")
    outcome = search(judge, strategy, count=8, seed=seed)
    reached = overall(outcome.scores[outcome.winner.candidate])
    for proposal in seeds_of(judge):
        assert reached <= overall(outcome.scores[proposal.candidate])


def test_the_measures_of_all_rungs_count_without_a_common_unit():
    assert overall({"first": 2.0, "last": 8.0}) == pytest.approx(4.0)
    assert overall({"last": 5.0}) == pytest.approx(5.0)
    assert 0 < overall({"first": 8.0, "last": -1e-17}) < 1e-5  # a divergence of zero, rounded below it
    one, other = {"first": 3000.0, "last": 0.1}, {"first": 1000.0, "last": 0.2}
    thousands = [{**measures, "first": measures["first"] / 1000} for measures in (one, other)]
    assert overall(one) / overall(other) == pytest.approx(overall(thousands[0]) / overall(thousands[1]))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_same_seed_same_search(make_judge, tmp_path, strategy):
    outcomes = [
        search(make_judge(tmp_path / f"{number}.log"), strategy, seed=seed)
        for number, seed in enumerate((5, 5, 6))
    ]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].proposals != outcomes[2].proposals


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("survived", [3, pytest.param(15, marks=pytest.mark.thorough)])
def test_a_killed_search_ends_with_the_same_winner(make_judge, tmp_path, monkeypatch, strategy, survived):
    whole = search(make_judge(tmp_path / "whole.log"), strategy)
    measure, calls = Judge._prepared, []

    def mortal(self, candidate, fidelity):
        calls.append(candidate)
        if len(calls) > survived:
            raise Killed
        return measure(self, candidate, fidelity)

    path = tmp_path / "killed.log"
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "_prepared", mortal)
        with pytest.raises(Killed):
            search(make_judge(path), strategy)
    judge = make_judge(path)
    assert len(judge.journal.known) == survived
    resumed = search(judge, strategy)
    assert resumed == whole


def test_evolution_goes_generation_by_generation(make_judge, tmp_path):
    outcome = search(make_judge(tmp_path / "journal.log"), "evolve", count=30)
    generations = [proposal.generation for proposal in outcome.proposals]
    assert generations == [0] * 16 + [1] * 12 + [2] * 2
    assert {proposal.origin for proposal in outcome.proposals[:16]} == {"uniform", "global", "random"}
    assert {proposal.origin for proposal in outcome.proposals[16:]} == {"swap", "blend"}
    first, last = (rung.name for rung in LADDER)
    for generation in (1, 2):
        born = [one.candidate for one in outcome.proposals if one.generation == generation]
        climbed = [candidate for candidate in born if last in outcome.scores[candidate]]
        ranked = sorted(born, key=lambda candidate: outcome.scores[candidate][first])
        assert sorted(climbed) == sorted(ranked[: 3 if generation == 1 else SURVIVORS])  # a quarter, or two


def test_only_candidates_measured_on_all_rows_become_parents(monkeypatch):
    space = Space(tuple(Group(layer, "head", 8, 8, 1.0) for layer in range(4)), 0.5)
    parents: list[tuple[int, ...]] = []
    swap = Space.swap

    def watched(self, candidate, generator):
        parents.append(candidate)
        return swap(self, candidate, generator)

    class Fickle:  # few rows want the first layer, all rows the last
        def measure(self, candidate, fidelity, rows):
            return 10.0 - candidate[0] if fidelity == ZERO_SHOT else 2.0 ** -candidate[3]

    monkeypatch.setattr(Space, "swap", watched)
    search = Search(Fickle(), space, LADDER, 0)
    outcome = search.evolve([Proposal(space.uniform(), "uniform")], 40)
    last = LADDER[-1].name
    assert all(last in outcome.scores[parent] for parent in parents)
    assert len(set(parents)) > PARENTS
    climbed = [c for c, scores in outcome.scores.items() if last in scores]
    assert outcome.winner.candidate[3] == max(candidate[3] for candidate in climbed)


def test_a_small_space_ends_early():
    space = Space((Group(0, "head", 2, 2, 1.0), Group(1, "head", 2, 2, 1.0)), 0.5)

    class Table:
        def measure(self, candidate, fidelity, rows):
            return float(candidate[0])

    for strategy in STRATEGIES:
        outcome = getattr(Search(Table(), space, LADDER, 0), strategy)([Proposal((1, 1), "uniform")], 12)
        assert {proposal.candidate for proposal in outcome.proposals} <= {(0, 2), (1, 1), (2, 0)}
        assert outcome.winner.candidate[0] == min(proposal.candidate[0] for proposal in outcome.proposals)


def test_a_better_seed_wins_even_if_the_first_rung_misjudges_it():
    space = Space(tuple(Group(layer, "head", 8, 8, 1.0) for layer in range(4)), 0.5)
    good = space.uniform()

    class Fickle:
        def measure(self, candidate, fidelity, rows):
            return float((candidate == good) == (fidelity == ZERO_SHOT))

    outcome = Search(Fickle(), space, LADDER, 0).random([Proposal(good, "uniform")], 20)
    assert outcome.winner == Proposal(good, "uniform")
