"""Robust lottery tickets (Zheng et al., ACL 2022, arXiv 2211.03013).

What the paper and its code state: (2) all weights are frozen; a hard-concrete gate for each (temperature 2/3, kept
with probability 0.9 at the start) learns on an adversarial loss, (1/K) sum_k CE(f(E(x) + delta_k), y) + lambda(t) R,
R the mean over matrices of their mean P(gate != 0), lambda 0.5 after none in the first tenth and a line over the next
three; (3) the weights of the smallest sigmoid(logit) over all matrices leave, the rest are set back to what they were
before, and are fine-tuned as usual. Clean accuracy and accuracy under attack are reported. (The code's lambda grows
three times as fast as meant: it counts the inputs of a batch, not its rows.)

Ours: the tickets are drawn from the fine-tuned dense model, and its weights are what they are set back to: this
library is given no other. They know the task already, so that they stay as they are: retrained as in (3), which the
option retrain=yes does, they unlearn what the gates have learned under the adversary (docs/pruning.md has the
figures). Granularity "unit" has a gate for each head and neuron instead, and slices. K = 3, and the
training's length is that of this library's recovery. The attack is one of typing errors (`leanformer.audit.attack`),
on held-out rows that no training reads, because word substitution needs vectors that are not at hand offline.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from typing import Any

from leanformer.audit.attack import attack
from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import build_space, recovery_config, trained
from leanformer.structure.cost import unit_costs
from leanformer.structure.masks import UNITS, Masks, make_permanent
from leanformer.structure.surgery import slice_units
from leanformer.tasks.split import few_rows
from leanformer.training.adversary import Adversary
from leanformer.training.config import TrainingConfig
from leanformer.training.gates import Gates, gates_in_force, hard_concrete
from leanformer.training.objective import Objective
from leanformer.training.penalties import Ramped
from leanformer.training.straight_through import Ramp, TopOfAll

BETA = 2 / 3
START = 1.609
"""logit((0.9 + 0.1) / 1.2): a gate of 0.9."""

LEARNING_RATE = 0.1  # of the gates
WEIGHT, FROM, UNTIL = 0.5, 0.1, 0.4  # lambda, and the parts of the training between which it grows
ATTACKED_ROWS = 512


def run(problem: Problem) -> Compressed:
    """Learn what is robust, draw the ticket, and train it from the dense weights where that is asked for.

    Args:
        problem: What to compress, and how far; granularity "weight" or "unit". A classification.

    Returns:
        The compressed model; with clean and attacked accuracy of it and of the dense model.

    Raises:
        BudgetError: If the task is a regression, which has no answers to turn, or asks for words.
    """
    if problem.task.kind != "classification":
        raise BudgetError(
            "robust-tickets needs classes of texts, which an attack can turn: choose another method"
        )
    problem = replace(problem, judges_trained=True)  # so that the held-out rows can be attacked
    masks = ticket(problem, gates_of(problem))
    if problem.granularity == "unit":
        model = slice_units(problem.teacher, masks)
    else:
        model = copy.deepcopy(problem.teacher)
        make_permanent(model, masks)
    if problem.options["retrain"] == "yes":
        found = trained(problem, model, masks, recipe(problem), "Robust tickets: training", Objective())
    else:
        found = Compressed(model, masks)
    found = replace(found, model=found.model.eval())
    return replace(found, attack=facts_of(problem, found))


def gates_of(problem: Problem) -> Gates:
    """Train gates on the dense model's frozen weights, under an adversary; a resumed run goes on.

    Args:
        problem: Dense model and rows.

    Returns:
        The gates, trained.
    """
    model = copy.deepcopy(problem.teacher)
    kinds = UNITS if problem.granularity == "unit" else MATRICES
    penalty = Ramped(WEIGHT, FROM, UNTIL)
    gates = Gates(hard_concrete(EncoderView(model), kinds, BETA, START), LEARNING_RATE, penalty)
    searching = replace(problem, folder=problem.folder / "gates")
    searching.folder.mkdir(parents=True, exist_ok=True)
    config = replace(recipe(problem), only="gates")
    with gates_in_force(model, gates):
        trained(
            searching,
            model,
            {},
            config,
            "Robust tickets: gates",
            Objective(adversary=Adversary()),
            gates=gates,
        )
    return gates


def recipe(problem: Problem) -> TrainingConfig:
    """Return the recipe of both trainings: as long as a recovery, at the dense rate, with dropout.

    Args:
        problem: Its rows.

    Returns:
        The recipe.
    """
    rate = TrainingConfig.for_teacher(
        len(problem.train), problem.quick, problem.seed, problem.teacher.config.hidden_size
    ).learning_rate
    return replace(recovery_config(problem, 0.0), learning_rate=rate, dropout=True)


def ticket(problem: Problem, gates: Gates) -> Masks:
    """Draw: over all matrices, the gates of the smallest logits close until the pruning ratio is met.

    Args:
        problem: The pruning ratio.
        gates: Trained gates.

    Returns:
        0/1 masks.
    """
    view = EncoderView(problem.teacher)
    ratio = build_space(view, problem).pruning_ratio
    logits, costs = gates.log_alphas(), unit_costs(view)
    prices = {key: score.new_full(score.shape, costs[key[1]]) for key, score in logits.items()}
    return TopOfAll(Ramp(0.0, 1.0, ratio))(logits, prices, 1.0)


def facts_of(problem: Problem, found: Compressed) -> dict[str, Any]:
    """Attack the dense and the compressed model on rows that nothing was trained on.

    Args:
        problem: The dense model.
        found: The compressed one.

    Returns:
        Clean and attacked accuracy of both.
    """
    rows = few_rows(problem.held_out, problem.task, ATTACKED_ROWS, problem.seed)
    return {
        name: asdict(attack(model, rows, problem.tokenizer, f"Attack on the {name} model"))
        for name, model in (("dense", problem.teacher), ("compressed", found.model))
    }
