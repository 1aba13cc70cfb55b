"""AE-BERT: automatic and efficient BERT pruning (Huang et al., ISQED 2022, arXiv 2206.10461).

What the paper states (abstract): under an overall pruning ratio, candidate sub-networks are generated, an efficient
evaluation selects a good one, which is then fine-tuned; no hand-crafted per-layer ratios. No code was published and
only the abstract could be read, so what follows is our reconstruction:

1. a candidate is a vector of ratios, over the six matrices of each layer (granularity `weight`) or over the heads and
   FFN neurons of each layer (granularity `unit`);
2. candidates are random under the constraint (`ae-bert-random`), or evolve by budget-invariant swaps (`ae-bert`,
   after EvoPress); the pool always holds the uniform, the global-magnitude and the reconstruction allocation;
3. the evaluation climbs a ladder from cheap to dear: the sum of the sub-layers' reconstruction errors, and for the
   best of each round the divergence from the dense model on held-out training rows, after a closed-form repair in
   sequence; the geometric mean of both decides;
4. the winner is sliced, repaired in one pass and distilled from the dense model.

Ours: at `unit`, the units of a group leave in the order of structured optimal brain surgeon, not of magnitude.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from leanformer.encoders.view import EncoderView
from leanformer.methods.magnitude import global_allocation
from leanformer.methods.pace import Heat, race
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import build_space, magnitude_scores, recovered, short_training
from leanformer.search.evaluate import RECONSTRUCTION, REPAIRED_IN_SEQUENCE, Judge
from leanformer.search.knapsack import cheapest_allocation
from leanformer.search.process_engine import shared_journal
from leanformer.search.realise import START, Realiser
from leanformer.search.space import Candidate, Space
from leanformer.search.strategies import Outcome, Proposal, Rung, Search
from leanformer.structure.activations import Moments, second_moments
from leanformer.structure.importance import RemovalOrder, Scores, removal_orders
from leanformer.structure.sequential import Stream, dense_stream
from leanformer.tasks.encode import batches
from leanformer.tasks.split import few_rows

if TYPE_CHECKING:
    from datasets import Dataset

CANDIDATES = 64
JUDGING_ROWS = 512  # held-out rows that a candidate answers; more are there for the standard error of a score
CALIBRATION_TOKENS = 6144
"""Tokens that second moments are gathered from: four times the FFN width of MiniLM."""


def run(problem: Problem) -> Compressed:
    """AE-BERT with candidates that evolve.

    Args:
        problem: What to compress, and how far.

    Returns:
        The compressed model.
    """
    return _ae_bert(problem, evolved=True)


def run_random(problem: Problem) -> Compressed:
    """AE-BERT with random candidates, as in the paper.

    Args:
        problem: What to compress, and how far.

    Returns:
        The compressed model.
    """
    return _ae_bert(problem, evolved=False)


@dataclass(frozen=True)
class Searched:
    """One search.

    Attributes:
        judge: Who measured.
        outcome: What was found.
        prepared_seconds: What calibration and orders cost before the first measurement.
    """

    judge: Judge
    outcome: Outcome
    prepared_seconds: float


Found = tuple[Searched, Candidate, list[Heat]]
"""A search, its winner, and what the clock said of the finalists under a budget of time."""


def _ae_bert(problem: Problem, evolved: bool) -> Compressed:
    found, winner, heats = winner_of(problem, evolved)
    realiser = found.judge.realiser
    small = recovered(problem, realiser.build(winner, START), realiser.masks(winner))
    return replace(small, search=record(found, winner, heats))


def winner_of(problem: Problem, evolved: bool = True) -> Found:
    """Return the search's winner; under a budget of time that has a clock, the best of its finalists that it passes.

    Where none is fast enough, the table foretold too little: the search is made again and asks for less time.

    Args:
        problem: What to compress, and how far.
        evolved: Whether candidates evolve, or are random as in the paper.

    Returns:
        The search (the last one), the winner, and what the clock said of the finalists.

    Raises:
        BudgetError: If the budget can not be met.
    """
    build_space(
        EncoderView(problem.teacher), problem
    )  # what is out of reach is refused before anything is computed
    known = calibrate(problem)
    if problem.pace is None or problem.pace.clock is None:
        found = _searched(problem, evolved, known)
        return found, found.outcome.ranked[0], []
    return race(
        problem.pace,
        problem.folder / "heats.json",
        lambda pace: _searched(replace(problem, pace=pace), evolved, known),
        lambda found: found.outcome.ranked,
        lambda found, candidate: found.judge.realiser.build(candidate, repair=START),
    )


def _searched(problem: Problem, evolved: bool, known: Calibrated) -> Searched:
    started = time.perf_counter()
    judge, seeds = prepare(problem, known)
    prepared_seconds = known.seconds + time.perf_counter() - started
    steps = ladder(len(judge.held_out))
    search = Search(judge, judge.realiser.space, steps, problem.seed, problem.engine, problem.watch)
    count = CANDIDATES // 4 if problem.quick else CANDIDATES
    outcome = search.evolve(seeds, count) if evolved else search.random(seeds, count)
    return Searched(judge, outcome, prepared_seconds)


def ladder(held_out_rows: int) -> tuple[Rung, Rung]:
    """Return the steps of the evaluation: without a model, then after a repair, on all held-out rows.

    Fewer rows would save little, since the repair costs more than the answers.

    Args:
        held_out_rows: How many there are.

    Returns:
        The rungs.
    """
    return Rung(RECONSTRUCTION, 0, share=1 / 6), Rung(REPAIRED_IN_SEQUENCE, held_out_rows)


@dataclass(frozen=True)
class Calibrated:
    """What the calibration rows say of the dense model, whatever the budget.

    Attributes:
        rows: The rows.
        moments: Second moments of what the output matrices read.
        stream: The dense residual stream.
        orders: In which order units leave; empty where single weights do.
        seconds: What it took.
    """

    rows: Dataset
    moments: Moments
    stream: Stream
    orders: Mapping[tuple[int, str], RemovalOrder]
    seconds: float


def calibrate(problem: Problem) -> Calibrated:
    """Read the calibration rows: once, however often a budget of time makes the search begin again.

    Args:
        problem: The dense model and its training rows.

    Returns:
        What they say.
    """
    started, view = time.perf_counter(), EncoderView(problem.teacher)
    rows = problem.train.select(range(calibration_rows(problem.train["input_ids"])))
    plan = [batch for _, batch in batches(rows, problem.tokenizer, batch_size=32)]
    moments = second_moments(problem.teacher, plan, problem.seed, "Calibration")
    stream = dense_stream(problem.teacher, plan, moments)
    orders = removal_orders(view, moments) if problem.granularity == "unit" else {}
    return Calibrated(rows, moments, stream, orders, time.perf_counter() - started)


def prepare(problem: Problem, known: Calibrated | None = None) -> tuple[Judge, list[Proposal]]:
    """Build what a search needs: space, second moments, orders of removal, the judge and the seeds.

    Args:
        problem: What to compress, and how far.
        known: What the calibration rows say, where they were read before.

    Returns:
        The judge, and the allocations that every search starts from.
    """
    view = EncoderView(problem.teacher)
    space = build_space(view, problem)
    known = known or calibrate(problem)
    magnitudes = magnitude_scores(view, problem.granularity)
    seeds = [
        Proposal(space.uniform(), "uniform"),
        Proposal(global_allocation(space, magnitudes), "global"),
    ]
    if problem.granularity == "unit":
        scores: Scores = {key: order.scores for key, order in known.orders.items()}
        errors = level_errors(space, lambda key: known.orders[key].errors)
        seeds.append(Proposal(cheapest_allocation(space, errors), "reconstruction"))
    else:  # what is least by this measure is the global allocation itself
        scores, errors = magnitudes, level_errors(space, lambda key: squares_lost(magnitudes[key]))
    journal = shared_journal(
        problem.journal or problem.folder / "journal.log",
        f"{problem.granularity}-{space.pruning_ratio:g}-{problem.seed}",
    )
    realiser = Realiser(problem.teacher, space, scores, known.moments, known.stream)
    training = short_training(problem)
    rows = few_rows(problem.held_out, problem.task, JUDGING_ROWS, problem.seed)
    kind, watch = problem.task.kind, problem.watch
    judge = Judge(realiser, problem.tokenizer, rows, known.rows, journal, errors, training, kind, watch)
    return judge, seeds


def calibration_rows(input_ids: Iterable[Sequence[int]]) -> int:
    """Return how many rows hold `CALIBRATION_TOKENS` tokens, or all rows.

    Args:
        input_ids: The rows' token ids.

    Returns:
        A number of rows, at least one.
    """
    rows = tokens = 0
    for row in input_ids:
        if tokens >= CALIBRATION_TOKENS:
            break
        rows, tokens = rows + 1, tokens + len(row)
    return rows


def squares_lost(magnitude: Tensor) -> Tensor:
    """Return how much of a matrix leaves with its smallest weights: ||W - W'||^2.

    Args:
        magnitude: Magnitude of each weight, of any shape.

    Returns:
        (weights + 1,), after 0, 1, ... removals; float64.
    """
    squares = magnitude.flatten().double().sort().values.square()
    return torch.cat([squares.new_zeros(1), squares.cumsum(0)])


def level_errors(space: Space, errors: Callable[[tuple[int, str]], Tensor]) -> list[np.ndarray]:
    """Return what each group's sub-layer loses at each level kept, as a share of what all can lose together.

    The allocation that minimises the sum under the constraint is one of the search's seeds (SPDY's idea, [R]).

    Args:
        space: The space of units.
        errors: Gives a group's error after 0, 1, ... removals, (units + 1,).

    Returns:
        Per group, (levels + 1,), in [0, 1]; the first entries, where nothing is kept, add up to 1.
    """
    found: list[np.ndarray] = []
    for group in space.groups:
        removed = [group.units - group.kept(level) for level in range(group.levels + 1)]
        found.append(errors((group.layer, group.kind))[removed].double().cpu().numpy())
    all_lost = sum(float(lost[0]) for lost in found)
    return [lost / max(all_lost, 1e-300) for lost in found]


def record(found: Searched, winner: Candidate, heats: Sequence[Heat] = ()) -> dict[str, Any]:
    """Return the "search" facts of a run.

    Args:
        found: The search, the last one where there were several.
        winner: The candidate that was taken.
        heats: What the clock said of the finalists, under a budget of time.

    Returns:
        A dictionary for result.json.
    """
    judge = found.judge
    return {
        "candidates": found.outcome.facts(judge.realiser.space, winner),
        "seconds": found.prepared_seconds + judge.journal.seconds,
        "rungs": [rung.name for rung in ladder(len(judge.held_out))],
        "decides": "the geometric mean of both",
        "evaluation_rows": len(judge.held_out),
        "heats": [asdict(heat) for heat in heats],
        "limits": found.outcome.limits(winner),
    }
