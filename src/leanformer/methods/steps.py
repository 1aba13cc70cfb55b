"""Steps that methods share: the space of a granularity, magnitudes, and recovery by distillation."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import concatenate_datasets

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.search.pricing import budgeted_space
from leanformer.search.space import Space
from leanformer.structure.importance import Scores, unit_magnitude, weight_magnitude
from leanformer.structure.masks import Masks, kept_layers
from leanformer.training.config import TrainingConfig, dense_rate
from leanformer.training.damage import damage
from leanformer.training.fake_quant import fake_quantised
from leanformer.training.finetune import fine_tune
from leanformer.training.gates import Gates
from leanformer.training.lengths import Sandwich
from leanformer.training.masking import fixed_masks, fixed_zeros
from leanformer.training.objective import ExitRule, Objective
from leanformer.training.teacher import Teacher, teacher_for
from leanformer.training.trainer import OnStep

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

SHORT_SHARE = 8
"""A short training takes this part of the recovery's steps."""

MIN_SHORT_STEPS = 30
NEW_HEADS = 10.0
"""Dense learning rates for heads that start from nothing: FastBERT's 2e-4, where its backbone has 2e-5."""

LEAVING_RATE = 5.0
"""Dense learning rates of trainings in which tokens or texts leave: no damage tells what they have to make up. At the
least rate power-bert lost 3 points on SST-2 and none at this (docs/dynamic.md, "How fast may it learn?")."""


def build_space(view: EncoderView, problem: Problem) -> Space:
    """Return the space of the problem's granularity under all constraints of its budget.

    Args:
        view: The dense encoder.
        problem: What to compress, and how far.

    Returns:
        The space.

    Raises:
        BudgetError: If the budget can not be met.
    """
    price = None if problem.pace is None else problem.pace.price
    return budgeted_space(view, problem.budget, problem.granularity, price, problem.mean_tokens)


def magnitude_scores(view: EncoderView, granularity: str) -> Scores:
    """Return the magnitudes of a granularity's units.

    Args:
        view: The encoder.
        granularity: "unit" or "weight".

    Returns:
        The scores, on the CPU though the model may be training elsewhere: selections are made there.
    """
    found = weight_magnitude(view) if granularity == "weight" else unit_magnitude(view)
    return {key: scores.cpu() for key, scores in found.items()}


def all_training_rows(problem: Problem) -> Dataset:
    """Return the training rows with the held-out ones behind them.

    Recovery reads both: the search is over then, and nothing that is reported was read from them. Where trained
    models are still to be judged, the held-out rows are left out.

    Args:
        problem: The rows.

    Returns:
        The rows; position i of `problem.train` is position i here.
    """
    if problem.judges_trained:
        return problem.train
    return concatenate_datasets([problem.train, problem.held_out])


def distillation(problem: Problem) -> tuple[Objective, Teacher]:
    """Return what recovery minimises, and the dense model's outputs on all training rows.

    Args:
        problem: Teacher and rows.

    Returns:
        Labels, logits at T=2 and four hidden states, for embeddings without the labels; and the teacher, its outputs
        computed once.
    """
    vectors = problem.task.kind == "embedding"
    objective = Objective.distillation(EncoderView(problem.teacher).n_layers, vectors)
    folder = problem.cache or problem.folder / "teacher-outputs"
    rows = all_training_rows(problem)
    return objective, teacher_for(problem.teacher, problem.tokenizer, rows, objective.hidden_layers, folder)


def recovered(
    problem: Problem,
    model: PreTrainedModel,
    masks: Masks,
    on_step: OnStep | None = None,
    damaged: PreTrainedModel | None = None,
    longer: int = 1,
    gates: Gates | None = None,
    sandwich: Sandwich | None = None,
    exits: ExitRule | None = None,
    rate: float | None = None,
) -> Compressed:
    """Distil the teacher into a pruned model: the last step of every method, the same recipe for all.

    Args:
        problem: Teacher, rows and seed.
        model: The pruned model, trained in place.
        masks: What was kept.
        on_step: Keeps masks in force; by default sparse matrices keep their zeros.
        damaged: A model as far from the teacher as the learning rate has to allow for, where `model` gets there only
            while it trains; by default `model` itself.
        longer: How many times the recipe's epochs.
        gates: Gates that train along; the caller keeps them in force.
        sandwich: Which fewer tokens train along.
        exits: What heads between the layers learn along.
        rate: The learning rate in dense ones, where no damage tells: states of tokens that have left are compared
            with nothing. By default it follows from the damage.

    Returns:
        The compressed model and its training facts.
    """
    started = time.perf_counter()
    objective, teacher = distillation(problem)
    objective = objective.for_student(kept_layers(masks, EncoderView(problem.teacher).n_layers))
    objective = replace(objective, sandwich=sandwich, exits=exits)
    start = model if damaged is None else damaged
    lost = None if rate is not None else damage_of(problem, start, objective, teacher)
    config = recovery_config(problem, lost or 0.0, rate)
    config = replace(config, epochs=longer * config.epochs)
    found = trained(problem, model, masks, config, "Recovery", objective, teacher, on_step, gates)
    seconds = time.perf_counter() - started  # the teacher's outputs included
    told = {} if lost is None else {"damage": lost}
    return replace(found, training={**found.training, "recovery_seconds": seconds, **told})


def trained(
    problem: Problem,
    model: PreTrainedModel,
    masks: Masks,
    config: TrainingConfig,
    stage: str,
    objective: Objective,
    teacher: Teacher | None = None,
    on_step: OnStep | None = None,
    gates: Gates | None = None,
) -> Compressed:
    """Train a model on all training rows.

    Args:
        problem: Rows, tokenizer and task.
        model: The model, trained in place.
        masks: What was kept; sparse matrices keep their zeros.
        config: The recipe.
        stage: Name on the progress bar.
        objective: What to minimise.
        teacher: The dense model's outputs, where the objective asks for them.
        on_step: Keeps masks in force; by default those of sparse matrices.
        gates: Gates that train along; the caller keeps them in force.

    Returns:
        The model and its training facts.
    """
    sparse = any(kind in MATRICES for _, kind in masks)
    result = fine_tune(
        model,
        problem.tokenizer,
        problem.task,
        all_training_rows(problem),
        config,
        problem.folder / "checkpoints",
        stage,
        objective,
        teacher,
        on_step or (fixed_masks(model, masks) if sparse else None),
        gates,
    )
    facts: dict[str, Any] = {
        "recovery_seconds": result.seconds,
        "epochs": result.epochs,
        "steps": result.steps,
        "learning_rate": config.learning_rate,
        "curve": [{"step": step, "loss": loss} for step, loss in result.curve],
    }
    return Compressed(model, masks, training=facts)


def trained_exits(problem: Problem, model: PreTrainedModel) -> Compressed:
    """Let the heads between a model's layers learn what its last head answers; the rest stands still.

    Args:
        problem: Rows and seed.
        model: A model with exits, trained in place.

    Returns:
        The model and its training facts.
    """
    width = problem.teacher.config.hidden_size
    config = recovery_config(problem, 0.0)
    rate = NEW_HEADS * TrainingConfig.for_teacher(1, hidden_size=width).learning_rate
    config = replace(config, only="exits", learning_rate=rate)
    return trained(problem, model, {}, config, "Exits", Objective(task=0.0, exits="distilled"), None)


def quantisation_aware(
    problem: Problem,
    model: PreTrainedModel,
    masks: Masks,
    bits: int = 8,
    float_sublayers: Collection[tuple[int, str]] = (),
) -> Compressed:
    """Distil the teacher into a model that computes with the rounding errors of int8: the last resort for its score.

    The recipe is that of the recovery; the damage that sets its learning rate is measured with the rounding in force.

    Args:
        problem: Teacher, rows and seed.
        model: The model, dense (a copy of the teacher) or compressed, trained in place.
        masks: What was kept of the dense model; empty where nothing was removed.
        bits: Of the weights: 8, or 7 for processors without VNNI.
        float_sublayers: (layer, kind) of those that will stay in float.

    Returns:
        The float32 model, whose int8 export keeps the score better, and its training facts.

    Raises:
        ValueError: If the model is the teacher itself.
    """
    if model is problem.teacher:
        raise ValueError("The teacher can not teach itself; give a copy of it.")
    with fake_quantised(model, bits, float_sublayers):
        return recovered(apart(problem, "quantisation-aware"), model, masks)


def apart(problem: Problem, name: str) -> Problem:
    """Return the problem for a second training: checkpoints of its own, the teacher's outputs shared.

    Args:
        problem: The first training's.
        name: Of the folder inside the problem's, which is made.

    Returns:
        The problem.
    """
    folder = problem.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    return replace(problem, folder=folder, cache=problem.cache or problem.folder / "teacher-outputs")


def short_training(problem: Problem) -> Callable[[PreTrainedModel], None]:
    """Return a training of one eighth of the recovery, on the rows that are not held out.

    Args:
        problem: Teacher, rows and seed.

    Returns:
        A function that trains a model in place; sparse matrices keep their zeros.
    """

    def train(model: PreTrainedModel) -> None:
        objective, teacher = distillation(problem)
        config = recovery_config(problem, damage_of(problem, model, objective, teacher))
        steps = recovery_steps(problem, config)
        short = replace(config, max_steps=max(MIN_SHORT_STEPS, steps // SHORT_SHARE))
        keep = fixed_zeros(model) if problem.granularity == "weight" else None
        with tempfile.TemporaryDirectory(prefix="short-", dir=problem.folder) as folder:
            fine_tune(
                model,
                problem.tokenizer,
                problem.task,
                problem.train,
                short,
                Path(folder),
                "Search: short training",
                objective,
                teacher,
                keep,
            )

    return train


def damage_of(problem: Problem, model: PreTrainedModel, objective: Objective, teacher: Teacher) -> float:
    """Return how far a model is from the problem's teacher.

    Args:
        problem: Rows and tokenizer.
        model: The model.
        objective: Names the hidden states.
        teacher: Gives them.

    Returns:
        See `leanformer.training.damage.damage`.
    """
    return damage(model, problem.tokenizer, problem.train, teacher, objective.compared)


def recovery_config(problem: Problem, lost: float, rate: float | None = None) -> TrainingConfig:
    """Return the recipe of the recovery.

    Args:
        problem: Rows, seed, and whether it has to be quick.
        lost: The damage that it has to make up.
        rate: The learning rate in dense ones, where it is not to follow from the damage.

    Returns:
        The recipe.
    """
    rows = len(all_training_rows(problem))
    width = problem.teacher.config.hidden_size
    config = TrainingConfig.for_recovery(rows, lost, problem.quick, problem.seed, width)
    return config if rate is None else replace(config, learning_rate=rate * dense_rate(width))


def recovery_steps(problem: Problem, config: TrainingConfig | None = None) -> int:
    """Return how many steps the recovery takes; its damage does not change that.

    Args:
        problem: Rows, seed, and whether it has to be quick.
        config: The recipe, where it is known.

    Returns:
        Optimiser steps.
    """
    recipe = recovery_config(problem, 0.0) if config is None else config
    steps = recipe.epochs * -(-len(all_training_rows(problem)) // recipe.batch_size)
    return min(steps, recipe.max_steps or steps)
