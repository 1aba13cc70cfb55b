"""How fast may a model learn whose tokens or texts leave? The same start at several learning rates, held-out rows.

    python benchmarks/leaving_rate.py DENSE --data ../shared/data/glue --task sst-2 --method power-bert

DENSE has a head for the task. `power-bert` is asked after its soft extraction, when half of the work has just left;
`length-adaptive` before its one training, judged at equal lengths that save nothing, 0.3, 0.5 and 0.65 of the work;
`patience` before its own, judged at every setting of its dial. Rates are in dense learning rates (6e-5 for a width of
384). All train on the rows that are not held out, by the recipe of the recovery; nothing that is reported is read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from glue_problem import SEED, glue_problem
from grid import GLUE_FOLDERS, RESULTS, SCRATCH, TRAIN_ROWS, write_result
from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.methods import steps
from leanformer.methods.length_adaptive import smallest
from leanformer.methods.patience import run as run_patience
from leanformer.methods.power_bert import extracted_softly
from leanformer.methods.problem import Problem
from leanformer.methods.registry import METHODS
from leanformer.search.falling import TokenRealiser
from leanformer.structure.tokens import set_kept_tokens, with_kept_tokens
from leanformer.tasks.predict import predict
from leanformer.training.config import TrainingConfig
from leanformer.training.lengths import Sandwich

RATIO = 0.5
RATIOS = (0.3, 0.5, 0.65)
Found = dict[str, Any]


def main() -> int:
    """Train at each rate, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a fine-tuned model folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", required=True, choices=GLUE_FOLDERS)
    parser.add_argument("--method", required=True, choices=ASKED)
    parser.add_argument("--rate", type=float, action="append", help="by default 0.5, 2, 5 and 10")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    problem = problem_of(options)
    rows = [
        {"rate": rate, **found}
        for rate, found in ASKED[options.method](problem, options.rate or [0.5, 2.0, 5.0, 10.0])
    ]
    figures = {
        "method": options.method,
        "task": options.task,
        "n": len(problem.held_out),
        "dense": score(problem, problem.teacher),
        "rows": rows,
    }
    said = " ".join(["python", "benchmarks/leaving_rate.py", "DENSE", *sys.argv[2:]])
    name = f"{options.method}-{options.task}"
    write_result(RESULTS / "leaving_rate" / f"{name}.json", figures, SEED, options.threads, said)
    return 0


def problem_of(options: argparse.Namespace) -> Problem:
    """Return the problem whose trainings read no held-out row."""
    from leanformer.training.threads import use_threads

    use_threads(options.threads)
    home = SCRATCH / "leaving-rate" / f"{options.method}-{options.task}"
    rows = TRAIN_ROWS.get(options.task)
    problem = glue_problem(options.model, options.data, options.task, rows, home, RATIO)
    method = METHODS[options.method]
    return replace(
        problem,
        granularity=method.granularities[0],
        options=method.settings({}),
        judges_trained=True,
        cache=home / "teacher-outputs",
    )


def score(problem: Problem, model: Any) -> float:
    """Return the accuracy on the held-out rows, in points."""
    answers = predict(model, problem.held_out, problem.tokenizer).argmax(axis=1)
    return 100 * float((answers == np.array(problem.held_out["label"])).mean())


def at_rate(problem: Problem, rate: float, train: Callable[[Problem], Any]) -> Any:
    """Run a training at a learning rate, whatever it would take."""

    def config(given: Problem, lost: float, _: float | None = None) -> TrainingConfig:
        return usual_config(given, lost, rate)

    usual_config = steps.recovery_config
    home = problem.folder / f"{rate:g}"
    home.mkdir(exist_ok=True)
    with patch.object(steps, "recovery_config", config):
        return train(replace(problem, folder=home))


def ask_power_bert(problem: Problem, rates: list[float]) -> list[tuple[float, Found]]:
    """Let half of the work leave, once; then train."""
    realiser, candidate, _ = extracted_softly(problem)
    found = []
    for rate in rates:
        small = at_rate(problem, rate, lambda one: steps.recovered(one, realiser.build(candidate), {}))
        found.append(
            (
                rate,
                {
                    "untrained": score(problem, realiser.build(candidate)),
                    "score": score(problem, small.model),
                },
            )
        )
    return found


def ask_length_adaptive(problem: Problem, rates: list[float]) -> list[tuple[float, Found]]:
    """Train for all lengths; then judge at some."""
    view = EncoderView(problem.teacher)
    sandwich = Sandwich(smallest(steps.build_space(view, problem), view.n_layers), seed=SEED)
    found = []

    def train(one: Problem) -> Any:
        model = with_kept_tokens(problem.teacher, sandwich.least)
        return steps.recovered(one, model, {}, sandwich=sandwich).model

    for rate in rates:
        trained = at_rate(problem, rate, train)
        set_kept_tokens(trained, [1.0] * view.n_layers)
        scores = {"0": score(problem, trained)}
        for ratio in RATIOS:
            space = steps.build_space(view, replace(problem, budget=Budget(ratio)))
            small = TokenRealiser(problem.teacher, trained, space).build(space.uniform(), "none")
            scores[f"{ratio:g}"] = score(problem, small)
        found.append((rate, {"scores": scores}))
    return found


def ask_patience(problem: Problem, rates: list[float]) -> list[tuple[float, Found]]:
    """Train exits and backbone; then read the dial."""
    return [(rate, {"exits": at_rate(problem, rate, run_patience).exits}) for rate in rates]


ASKED = {"power-bert": ask_power_bert, "length-adaptive": ask_length_adaptive, "patience": ask_patience}

if __name__ == "__main__":
    sys.exit(main())
