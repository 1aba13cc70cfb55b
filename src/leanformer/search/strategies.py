"""How candidates are proposed, and how they climb the ladder from cheap measures to dear ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from leanformer.progress import track
from leanformer.search.evaluate import Judge
from leanformer.search.space import Candidate, Space


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes:
        fidelity: How candidates are measured here.
        rows: Held-out rows read.
        keep: How many of the best climb on (on the last rung: 1).
    """

    fidelity: str
    rows: int
    keep: int

    @property
    def name(self) -> str:
        """How the rung is called in records."""
        return f"{self.fidelity} ({self.rows} rows)"


@dataclass(frozen=True)
class Proposal:
    """A candidate and where it came from.

    Attributes:
        candidate: Levels kept, one a group.
        origin: "uniform", "global", "reconstruction", "random" or "swap".
        generation: 0 for the first pool, then the round of evolution.
    """

    candidate: Candidate
    origin: str
    generation: int = 0

    @property
    def is_seed(self) -> bool:
        """Whether it is one of the allocations that the search must not end below."""
        return self.origin not in ("random", "swap")


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        winner: The best of the last rung.
        proposals: All candidates, in the order in which they were proposed.
        scores: Per candidate, rung name -> divergence.
    """

    winner: Proposal
    proposals: tuple[Proposal, ...]
    scores: dict[Candidate, dict[str, float]]


class Search:
    """One search: proposals, measured on a ladder of rungs."""

    def __init__(self, judge: Judge, space: Space, ladder: Sequence[Rung], seed: int) -> None:
        self.judge = judge
        self.space = space
        self.ladder = tuple(ladder)
        self.generator = np.random.default_rng(seed)
        self.proposals: dict[Candidate, Proposal] = {}
        self.scores: dict[Candidate, dict[str, float]] = {}

    def random(self, seeds: Iterable[Proposal], count: int) -> Outcome:
        """AE-BERT as the paper has it: random candidates under the constraint, the best of them wins.

        Args:
            seeds: Candidates that take part besides the random ones.
            count: Candidates in all.

        Returns:
            The outcome.
        """
        self._enter(seeds)
        self._enter(self._random_proposals(count))
        for candidate in track(list(self.proposals), "Search: candidates"):
            self._measure(candidate, self.ladder[0])
        return self._climb()

    def evolve(self, seeds: Iterable[Proposal], count: int, pool: int = 16, brood: int = 8) -> Outcome:
        """Budget-invariant evolution: swaps around the best so far (EvoPress, ICML 2025), elitist.

        Args:
            seeds: Candidates that take part besides the random ones.
            count: Candidates in all.
            pool: Candidates in the first generation: the seeds, filled up with random ones.
            brood: Children a generation.

        Returns:
            The outcome.
        """
        self._enter(seeds)
        self._enter(self._random_proposals(min(pool, count)))
        generation = 0
        for place in track(range(count), "Search: candidates"):
            if place >= len(self.proposals):
                generation += 1
                self._enter(self._children(min(brood, count - place), generation))
            if place >= len(self.proposals):
                break  # the space has no more neighbours
            self._measure(list(self.proposals)[place], self.ladder[0])
        return self._climb()

    def _random_proposals(self, count: int) -> list[Proposal]:
        found: dict[Candidate, Proposal] = {}
        for _ in range(50 * count):  # small spaces hold few candidates: give up after many repeats
            if len(self.proposals) + len(found) >= count:
                break
            candidate = self.space.random(self.generator)
            if candidate not in self.proposals and self.space.fits(candidate):
                found[candidate] = Proposal(candidate, "random")
        return list(found.values())

    def _children(self, count: int, generation: int) -> list[Proposal]:
        """Swap around the best; a third of the children come from the second best, against dead ends."""
        first = self.ladder[0].name
        ranked = sorted(self.scores, key=lambda candidate: self.scores[candidate][first])
        found: dict[Candidate, Proposal] = {}
        for trial in range(50 * count):
            if len(found) >= count:
                break
            parent = ranked[min(1, len(ranked) - 1)] if trial % 3 == 2 else ranked[0]
            child = self.space.swap(parent, self.generator)
            if child not in self.proposals and self.space.fits(child):
                found[child] = Proposal(child, "swap", generation)
        return list(found.values())

    def _enter(self, proposals: Iterable[Proposal]) -> None:
        for proposal in proposals:
            self.proposals.setdefault(proposal.candidate, proposal)

    def _measure(self, candidate: Candidate, rung: Rung) -> float:
        value = self.judge.measure(candidate, rung.fidelity, rung.rows)
        self.scores.setdefault(candidate, {})[rung.name] = value
        return value

    def _climb(self) -> Outcome:
        """Successive halving; the seeds climb along, so that the winner is never worse than they are."""
        alive = list(self.scores)
        for below, rung in zip(self.ladder[:-1], self.ladder[1:], strict=True):
            ranked = sorted(alive, key=lambda candidate: self.scores[candidate][below.name])
            seeds = [candidate for candidate in ranked[below.keep :] if self.proposals[candidate].is_seed]
            alive = ranked[: below.keep] + seeds
            for candidate in track(alive, f"Search: {rung.fidelity}, {rung.rows} rows"):
                self._measure(candidate, rung)
        best = min(alive, key=lambda candidate: self.scores[candidate][self.ladder[-1].name])
        return Outcome(self.proposals[best], tuple(self.proposals.values()), self.scores)
