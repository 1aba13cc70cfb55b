"""What makes a ticket robust, and what undoes it? The parts of the method one by one, under the same attack.

    python benchmarks/robust_why.py DENSE --data ../shared/data/glue
    python benchmarks/robust_why.py DENSE --data ../shared/data/glue --drawn

DENSE is a model that was fine-tuned on the task. Attacked are: the dense model; the same trained on under the
adversary, without any pruning; the ticket as drawn; the ticket retrained on the labels, as the paper does; and the
ticket retrained under the adversary instead. With --drawn: tickets of several sizes, as drawn from the same gates.
Rows are held-out training rows, as in the method.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from glue_problem import SEED, glue_problem
from grid import RESULTS, TRAIN_ROWS, write_result
from leanformer.audit.attack import attack
from leanformer.budget import Budget
from leanformer.methods.problem import Problem
from leanformer.methods.robust_tickets import ATTACKED_ROWS, gates_of, recipe, ticket
from leanformer.methods.steps import trained
from leanformer.structure.masks import Masks, make_permanent
from leanformer.tasks.split import few_rows
from leanformer.training.adversary import Adversary
from leanformer.training.objective import Objective

TASK, RATIO = "sst-2", 0.3
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)


def main() -> int:
    """Train and attack, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a fine-tuned model folder")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--drawn", action="store_true", help="tickets of several sizes, none retrained")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        rows_read = TRAIN_ROWS[TASK]
        problem = glue_problem(options.model, Path(options.data), TASK, rows_read, Path(scratch), RATIO)
        problem = replace(problem, granularity="weight", judges_trained=True)
        rows = few_rows(problem.held_out, problem.task, ATTACKED_ROWS, SEED)
        attacked = {
            name: asdict(attack(model, rows, problem.tokenizer, name))
            for name, model in (drawn_models if options.drawn else models)(problem)
        }
    said = " ".join(["python", "benchmarks/robust_why.py", "DENSE", *sys.argv[2:]])
    name = "robust-drawn.json" if options.drawn else "robust-why.json"
    figures = {"task": TASK, "ratio": RATIO, "attacked": attacked}
    write_result(RESULTS / "pruning" / name, figures, SEED, options.threads, said)
    return 0


def models(problem: Problem) -> Iterator[tuple[str, Any]]:
    """Yield the models that are attacked, each with what was done to it."""
    masks = ticket(problem, gates_of(problem))
    drawn = copy.deepcopy(problem.teacher)
    make_permanent(drawn, masks)
    yield "dense", problem.teacher
    yield "ticket, as drawn", drawn
    yield "ticket, trained", further(problem, drawn, masks, Objective())
    yield (
        "ticket, trained under the adversary",
        further(problem, drawn, masks, Objective(adversary=Adversary())),
    )
    yield (
        "dense, trained on under the adversary",
        further(problem, problem.teacher, {}, Objective(adversary=Adversary())),
    )


def drawn_models(problem: Problem) -> Iterator[tuple[str, Any]]:
    """Yield the dense model and its tickets of several sizes, as they are drawn from the same gates."""
    gates = gates_of(problem)
    yield "dense", problem.teacher
    for ratio in RATIOS:
        drawn = copy.deepcopy(problem.teacher)
        make_permanent(drawn, ticket(replace(problem, budget=Budget(ratio)), gates))
        yield f"{ratio:g}", drawn


def further(problem: Problem, model: Any, masks: Masks, objective: Objective) -> Any:
    """Train a copy of a model by the method's recipe."""
    with tempfile.TemporaryDirectory(dir=problem.folder) as folder:
        own = replace(problem, folder=Path(folder))
        return trained(own, copy.deepcopy(model), masks, recipe(own), "Training", objective).model.eval()


if __name__ == "__main__":
    sys.exit(main())
