"""Candidates of one pool, judged cheaply and fine-tuned: what a cheap evaluation says of the final score."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

CORRELATION_CANDIDATES = 12


def study(problem: Any, number: int) -> tuple[Any, Any]:
    """Return the judge, and a candidate of the study: the search's seeds come first, then random ones."""
    import numpy as np

    from leanformer.methods.ae_bert import prepare as prepare_search

    judge, seeds = prepare_search(problem)
    generator = np.random.default_rng(1234)  # the same list in each cell
    pool = [seed.candidate for seed in seeds]
    while len(pool) < CORRELATION_CANDIDATES:
        pool.append(judge.realiser.space.random(generator))
    return judge, pool[number]


def fine_tuned(problem: Any, number: int) -> Any:
    """Repair and fine-tune a candidate of the study, whatever the cheap evaluations say."""
    from leanformer.methods.steps import recovered
    from leanformer.search.realise import START

    judge, candidate = study(problem, number)
    realiser = judge.realiser
    found = recovered(problem, realiser.build(candidate, START), realiser.masks(candidate))
    return replace(found, search={"candidate": list(candidate)})


def judged(problem: Any, number: int) -> dict[str, Any]:
    """Measure a candidate of the study by each cheap evaluation: a cell of its own, so that it can change alone."""
    from leanformer.search.evaluate import FIDELITIES

    judge, candidate = study(problem, number)
    judge.dense_logits()  # shared by all candidates of a search: not part of an evaluation's cost
    evaluations = {}
    for fidelity in FIDELITIES:
        started = time.perf_counter()
        value = judge.measure(candidate, fidelity, len(problem.held_out))
        evaluations[fidelity] = {"divergence": value, "seconds": time.perf_counter() - started}
    return {"candidate": list(candidate), "evaluations": evaluations}
