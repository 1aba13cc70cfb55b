"""Steps that methods share: the space of a granularity, magnitudes, and recovery by distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets import concatenate_datasets

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.search.realise import unit_space, weight_space
from leanformer.search.space import Space
from leanformer.structure.importance import Scores, unit_magnitude, weight_magnitude
from leanformer.structure.masks import Masks
from leanformer.training.config import TrainingConfig
from leanformer.training.recover import fixed_masks, recover
from leanformer.training.trainer import OnStep

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def build_space(view: EncoderView, problem: Problem) -> Space:
    """Return the space of the problem's granularity under its budget.

    Args:
        view: The dense encoder.
        problem: What to compress, and how far.

    Returns:
        The space.

    Raises:
        BudgetError: If the budget can not be met.
    """
    make = weight_space if problem.granularity == "weight" else unit_space
    return make(view, problem.budget.pruning_ratio)


def magnitude_scores(view: EncoderView, granularity: str) -> Scores:
    """Return the magnitudes of a granularity's units.

    Args:
        view: The encoder.
        granularity: "unit" or "weight".

    Returns:
        The scores.
    """
    return weight_magnitude(view) if granularity == "weight" else unit_magnitude(view)


def recovered(
    problem: Problem, model: PreTrainedModel, masks: Masks, on_step: OnStep | None = None
) -> Compressed:
    """Distil the teacher into a pruned model: the last step of every method, the same recipe for all.

    The held-out rows train too: the search is over, and nothing that is reported was read from them.

    Args:
        problem: Teacher, rows and seed.
        model: The pruned model, trained in place.
        masks: What was kept.
        on_step: Keeps masks in force; by default sparse matrices keep their zeros.

    Returns:
        The compressed model and its training facts.
    """
    train = concatenate_datasets([problem.train, problem.held_out])
    config = recovery_config(problem)
    sparse = any(kind not in ("head", "neuron") for _, kind in masks)
    keep = on_step or (fixed_masks(model, masks) if sparse else None)
    result = recover(
        model,
        problem.teacher,
        problem.tokenizer,
        problem.task,
        train,
        config,
        problem.folder,
        "Recovery",
        keep,
    )
    facts: dict[str, Any] = {
        "recovery_seconds": result.seconds,
        "epochs": result.epochs,
        "steps": result.steps,
        "curve": [{"step": step, "loss": loss} for step, loss in result.curve],
    }
    return Compressed(model, masks, training=facts)


def recovery_config(problem: Problem) -> TrainingConfig:
    """Return the recipe of the recovery.

    Args:
        problem: Rows, seed, and whether it has to be quick.

    Returns:
        The recipe.
    """
    rows = len(problem.train) + len(problem.held_out)
    width = problem.teacher.config.hidden_size
    return TrainingConfig.for_recovery(rows, problem.quick, problem.seed, width)
