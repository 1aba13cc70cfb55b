"""How candidates are proposed, and how they climb the ladder from cheap measures to dear ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean
from typing import Any

import numpy as np

from leanformer.measure.harm import Watch
from leanformer.progress import bar, track
from leanformer.search.engines import Engine, InProcess
from leanformer.search.evaluate import SCORE, Judge
from leanformer.search.space import Candidate, Space

SURVIVORS = 2
"""Fewest candidates that climb from a rung to the next."""

PARENTS = 3
LEAST = 1e-12


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes:
        fidelity: How candidates are measured here.
        rows: Held-out rows read; 0 where the measure reads none.
        share: Which share of its candidates, the best, climbs on; at least `SURVIVORS`.
    """

    fidelity: str
    rows: int
    share: float = 1.0

    @property
    def name(self) -> str:
        """How the rung is called in records."""
        return f"{self.fidelity} ({self.rows} rows)" if self.rows else self.fidelity


@dataclass(frozen=True)
class Proposal:
    """A candidate and where it came from.

    Attributes:
        candidate: Levels kept, one a group.
        origin: "random", "swap" or "blend"; else the name of a seed, such as "uniform" or "global".
        generation: 0 for the first pool, then the round of evolution.
    """

    candidate: Candidate
    origin: str
    generation: int = 0

    @property
    def is_seed(self) -> bool:
        """Whether it is one of the allocations that the search must not end below."""
        return self.origin not in ("random", "swap", "blend")


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        winner: The best of those on the last rung, by all rungs together.
        proposals: All candidates, in the order in which they were proposed.
        scores: Per candidate, rung name -> divergence.
        ranked: The candidates that reached the last rung, the winner first.
        harms: Under a watch, per candidate of `ranked`: what is limited, by name, and the score.
        watch: The limits, or None.
    """

    winner: Proposal
    proposals: tuple[Proposal, ...]
    scores: dict[Candidate, dict[str, float]]
    ranked: tuple[Candidate, ...]
    harms: dict[Candidate, dict[str, float]] = field(default_factory=dict)
    watch: Watch | None = field(default=None, compare=False)

    def limits(self, winner: Candidate) -> dict[str, Any] | None:
        """Return what the limits on changes have cost, as it stands in result.json.

        Args:
            winner: The candidate that was taken.

        Returns:
            `asked` (limits by name), `judged` (candidates that were held against them), `kept` (those that keep all),
            and of the "chosen" one and of the one that the search would have taken without limits ("free") its `id`
            among the candidates, its `score` and what it changes (`harms`), as the search saw them. None without
            limits.
        """
        if self.watch is None:
            return None
        free = min(self.ranked, key=lambda candidate: overall(self.scores[candidate]))
        kept = [one for one in self.ranked if not self.watch.excess(self.harms[one])]
        numbers = {proposal.candidate: number for number, proposal in enumerate(self.proposals)}
        facts: dict[str, Any] = {
            "asked": dict(self.watch.limits),
            "judged": len(self.ranked),
            "kept": len(kept),
        }
        for name, candidate in (("chosen", winner), ("free", free)):
            harms = dict(self.harms[candidate])
            facts[name] = {"id": numbers[candidate], "score": harms.pop(SCORE), "harms": harms}
        return facts

    def facts(self, space: Space, winner: Candidate) -> list[dict[str, Any]]:
        """Return all candidates as they stand in result.json.

        Args:
            space: Their space.
            winner: The one that was taken.

        Returns:
            One dictionary a candidate.
        """
        return [
            {
                "id": number,
                "origin": proposal.origin,
                "generation": proposal.generation,
                "ratio": space.ratio(proposal.candidate),
                "scores": self.scores.get(proposal.candidate, {}),
                "chosen": proposal.candidate == winner,
                "kept": np.round(space.shares(proposal.candidate), 4).tolist(),
            }
            for number, proposal in enumerate(self.proposals)
        ]


def overall(measures: Mapping[str, float]) -> float:
    """Return the geometric mean of what the rungs measured of a candidate; it does not ask for a common unit.

    Args:
        measures: Rung name -> measure; less is better.

    Returns:
        The mean; a measure of zero, or rounded below it, counts as `LEAST`.
    """
    return geometric_mean(max(measure, LEAST) for measure in measures.values())


class Search:
    """One search: proposals, measured on a ladder of rungs.

    Args:
        judge: Who measures.
        space: Of candidates.
        ladder: The rungs.
        seed: Of the proposals.
        engine: Who shares the measuring; this process by default.
        watch: Limits on what may change: whoever keeps them goes before whoever does not.
    """

    def __init__(
        self,
        judge: Judge,
        space: Space,
        ladder: Sequence[Rung],
        seed: int,
        engine: Engine | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.judge = judge
        self.watch = watch
        self.engine = engine or InProcess()
        self.space = space
        self.ladder = tuple(ladder)
        self.generator = np.random.default_rng(seed)
        self.proposals: dict[Candidate, Proposal] = {}
        self.scores: dict[Candidate, dict[str, float]] = {}
        self.harms: dict[Candidate, dict[str, float]] = {}

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
        measured = self._measured(list(self.proposals), self.ladder[0])
        for _ in track(measured, "Search: candidates", total=len(self.proposals)):
            pass
        return self._climb()

    def evolve(self, seeds: Iterable[Proposal], count: int, pool: int = 16, brood: int = 12) -> Outcome:
        """Budget-invariant evolution around the best so far, elitist (EvoPress, ICML 2025).

        As there, the children of a generation are told apart cheaply, and the few that survive are measured on all
        rows: only these can become parents. Beside swaps, children blend two parents: the seeds lie far apart.

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
        fresh, generation = list(self.proposals), 0
        with bar() as shown:
            stage = shown.add_task("Search: candidates", total=count)
            while fresh:
                for _ in self._measured(fresh, self.ladder[0]):
                    shown.advance(stage)
                self._promote(fresh)
                generation += 1
                children = self._children(min(brood, count - len(self.proposals)), generation)
                self._enter(children)
                fresh = [child.candidate for child in children]  # none where the space has no more neighbours
        return self._outcome()

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
        """Swap around the best, and now and then around another parent; a quarter blends two parents."""
        parents = self._elite()[:PARENTS]
        found: dict[Candidate, Proposal] = {}
        for trial in range(50 * count):
            if len(found) >= count:
                break
            other = parents[int(self.generator.integers(len(parents)))]
            blend = trial % 4 == 3 and len(parents) > 1
            if blend:
                share = self.generator.uniform()
                shares = share * self.space.shares(parents[0]) + (1 - share) * self.space.shares(other)
                child = self.space.project(shares)
            else:
                child = self.space.swap(other if trial % 4 == 2 else parents[0], self.generator)
            if child not in self.proposals and self.space.fits(child):
                found[child] = Proposal(child, "blend" if blend else "swap", generation)
        return list(found.values())

    def _enter(self, proposals: Iterable[Proposal]) -> None:
        for proposal in proposals:
            self.proposals.setdefault(proposal.candidate, proposal)

    def _measured(self, candidates: Sequence[Candidate], rung: Rung) -> Iterator[Candidate]:
        """Measure a round of candidates and yield each when its score is known, in their order."""
        values = self.engine.measure(self.judge, candidates, rung.fidelity, rung.rows)
        for candidate, value in zip(candidates, values, strict=True):
            self.scores.setdefault(candidate, {})[rung.name] = value
            yield candidate

    def _climb(self) -> Outcome:
        """Successive halving over all candidates."""
        self._promote(list(self.scores))
        return self._outcome()

    def _promote(self, candidates: Sequence[Candidate]) -> None:
        """Measure the best on the rungs above; seeds climb along, so that the winner is never worse than they are."""
        for below, rung in zip(self.ladder[:-1], self.ladder[1:], strict=True):
            keep = max(SURVIVORS, math.ceil(below.share * len(candidates)))
            ranked = sorted(candidates, key=lambda candidate: self.scores[candidate][below.name])
            seeds = [candidate for candidate in ranked[keep:] if self.proposals[candidate].is_seed]
            candidates = ranked[:keep] + seeds
            list(self._measured(candidates, rung))
        self._hold_against_limits(candidates)

    def _hold_against_limits(self, candidates: Sequence[Candidate]) -> None:
        """Measure what is limited of those that reached the last rung."""
        if self.watch is None:
            return
        for name in (*self.watch.limits, SCORE):
            values = self.engine.measure(self.judge, candidates, name, self.ladder[-1].rows)
            for candidate, value in zip(candidates, values, strict=True):
                self.harms.setdefault(candidate, {})[name] = value

    def _excess(self, candidate: Candidate) -> float:
        return 0.0 if self.watch is None else self.watch.excess(self.harms[candidate])

    def _elite(self) -> list[Candidate]:
        """Return the candidates that reached the last rung, best first; who breaks a limit comes last.

        Under limits a search needs parents that keep them, or come near: feasible ones by their measures, the others
        by how far they are from it (the rules of Deb 2000, "An efficient constraint handling method for genetic
        algorithms"). The rungs err in different ways: together they foretold a fine-tuned model better than the last
        one alone (docs/ae-bert.md, "Does the cheap evaluation foretell the score?").
        """
        last = self.ladder[-1].name
        reached = [candidate for candidate, scores in self.scores.items() if last in scores]
        return sorted(
            reached, key=lambda candidate: (self._excess(candidate), overall(self.scores[candidate]))
        )

    def _outcome(self) -> Outcome:
        ranked = tuple(self._elite())
        proposals = tuple(self.proposals.values())
        return Outcome(self.proposals[ranked[0]], proposals, self.scores, ranked, self.harms, self.watch)
