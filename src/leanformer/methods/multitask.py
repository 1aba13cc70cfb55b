"""One pruned encoder for several tasks (Xia & Shin 2021, arXiv 2112.05705): a reconstruction.

Of the paper only the abstract and the first page could be read: under one budget of parameters, an encoder that is
pruned while it is fine-tuned on a multitask objective is better on average than the best split of the budget over
single-task encoders, under element-wise and under rank pruning. There is no public code. Reconstructed:

- element-wise: hard movement pruning (`movement`), the same share of each matrix, or one cut through all; rank
  pruning by FLOP (`leanformer.methods.ranks`); ours beside them: whole heads and neurons, which slicing removes;
- the objective is the sum of the tasks' own: each batch is of one task, each task has as many batches as it has rows;
- each task is distilled from a dense model of its own, fine-tuned from the encoder of the first task's;
- the result is one encoder with a head for each task: as many model folders with the same encoder weights. Pooler and
  classifier are the tasks' own, and not pruned.

The held-out rows of all tasks are kept from the training and scored; `benchmarks/multitask.py` compares with splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset, concatenate_datasets

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.errors import BudgetError, DataError
from leanformer.methods.kinds import ANSWERS_BY_TOKEN
from leanformer.methods.movement import damaged_alike, movement_gates
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.ranks import (
    at_full_rank,
    closed_to,
    rank_gates,
    removed_share,
    truncated,
    without_ranks,
)
from leanformer.methods.steps import build_space, damage_of, recovery_config, trained
from leanformer.progress import say
from leanformer.structure.masks import Masks, make_permanent
from leanformer.structure.surgery import slice_units
from leanformer.tasks.encode import encode, model_max_tokens
from leanformer.tasks.heads import with_new_head
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict
from leanformer.tasks.split import split_held_out
from leanformer.training.batching import TASK, training_columns
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import fine_tune
from leanformer.training.gates import Gates, gates_in_force
from leanformer.training.objective import Objective
from leanformer.training.several import SeveralTeachers, taken_apart, with_heads_of
from leanformer.training.straight_through import SelectedGates
from leanformer.training.teacher import Teacher, teacher_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from leanformer.tasks.task import Task


@dataclass(frozen=True)
class Member:
    """One of the tasks.

    Attributes:
        task: What is answered.
        dense: Its own fine-tuned dense model.
        train: Encoded rows.
        held_out: Encoded rows that nothing is trained on.
    """

    task: Task
    dense: PreTrainedModel
    train: Dataset
    held_out: Dataset


def run(problem: Problem) -> Compressed:
    """Fine-tune a dense model for each further task, prune one encoder for all, take it apart.

    Args:
        problem: The first task; the option `with` names the others. Granularity "weight", "rank" or "unit".

    Returns:
        The first task's model; the others' are its companions. Its "tasks" facts hold the scores on held-out rows.

    Raises:
        BudgetError: If no other task is named, two have the same name, or the first one asks for words.
        DataError: If another task's data can not be used, or ask for words.
    """
    if problem.task.kind in ANSWERS_BY_TOKEN:
        raise BudgetError(
            f"multitask answers whole texts, and {problem.task.name} asks for parts of them: choose another method"
        )
    first = Member(problem.task, problem.teacher, problem.train, problem.held_out)
    members = [first, *(member_of(problem, spec) for spec in others(problem))]
    names = [member.task.name for member in members]
    if len(set(names)) < len(names):
        raise BudgetError(f"two of the tasks are called the same ({', '.join(names)}): name each once")
    dense = [member.dense for member in members]
    parts = [at_full_rank(one) for one in dense] if problem.granularity == "rank" else dense
    model = with_heads_of(parts)
    objective = Objective.distillation(EncoderView(problem.teacher).n_layers)
    teachers = [own_teacher(problem, member, objective) for member in members]
    together = replace(problem, train=rows_of(members), judges_trained=True)
    lost = damage_of(problem, damaged(problem), objective, teachers[0])
    gates = gates_of(together, parts[0], EncoderView(model))
    with gates_in_force(model, gates):
        found = trained(
            together,
            model,
            {},
            recovery_config(together, lost),
            "Several tasks",
            objective,
            SeveralTeachers(teachers, [len(member.train) for member in members]),
            gates=gates,
        )
    small, masks = finished(problem, gates, taken_apart(model, parts))
    companions = dict(zip(names[1:], small[1:], strict=True))
    facts = [scores_of(problem, *pair) for pair in zip(members, small, strict=True)]
    share = removed_share(dense[0], small[0]) if problem.granularity == "rank" else None
    return replace(
        found, model=small[0], masks=masks, companions=companions, tasks=facts, removed_share=share
    )


def ratio_of(problem: Problem) -> float:
    """Return the share of the weights that has to go."""
    like = replace(problem, granularity="unit" if problem.granularity == "unit" else "weight")
    return build_space(EncoderView(problem.teacher), like).pruning_ratio


def damaged(problem: Problem) -> PreTrainedModel:
    """Return a model pruned at once as far as the gates will: its damage sets the learning rate."""
    if problem.granularity == "rank":
        return truncated(problem.teacher, 1.0 - ratio_of(problem))
    return damaged_alike(problem)


def gates_of(problem: Problem, part: PreTrainedModel, view: EncoderView) -> Gates:
    """Return the gates of a granularity: of FLOP for ranks, else those of movement pruning.

    Args:
        problem: The rows of all tasks together.
        part: One task's model, of products where ranks are pruned.
        view: The model of all tasks.

    Returns:
        The gates.
    """
    if problem.granularity == "rank":
        return rank_gates(problem, part, ratio_of(problem))
    options = {**problem.options, "scores": "usual"}
    return movement_gates(replace(problem, options=options), view)


def finished(
    problem: Problem, gates: Gates, models: Sequence[PreTrainedModel]
) -> tuple[list[PreTrainedModel], Masks]:
    """Remove what the gates have closed.

    Args:
        problem: Granularity and pruning ratio.
        gates: The gates, trained.
        models: One a task, all with the same encoder.

    Returns:
        The pruned models, and the masks; none of ranks.
    """
    if isinstance(gates, SelectedGates):
        masks = gates.masks()
        return [pruned(one, masks) for one in models], masks
    values = closed_to(gates, models[0], ratio_of(problem))
    return [without_ranks(one, values) for one in models], {}


def others(problem: Problem) -> list[DataSpec]:
    """Return the data of the further tasks: NAME, or NAME@FOLDER for GLUE's, separated by commas."""
    named = [part.strip() for part in str(problem.options["with"]).split(",") if part.strip()]
    if not named:
        raise BudgetError(
            "multitask needs more than one task: give --option with=DATA, for example with=rte@glue/RTE"
        )
    most = int(problem.options["rows"]) or None
    pairs = [part.partition("@") for part in named]
    return [DataSpec(name, data_dir=folder or None, train_rows=most) for name, _, folder in pairs]


def member_of(problem: Problem, spec: DataSpec) -> Member:
    """Read another task, and fine-tune a dense model for it; a killed run goes on.

    Args:
        problem: The first task.
        spec: The other one's data.

    Returns:
        The other task.

    Raises:
        DataError: If its data can not be used, or ask for words.
    """
    data = load_data(spec)
    if data.task.kind in ANSWERS_BY_TOKEN:
        raise DataError(
            f"multitask answers whole texts, and {data.task.name} asks for parts of them: leave it out"
        )
    say(data.description)
    model = with_new_head(problem.teacher, data.task)
    longest = model_max_tokens(model, problem.tokenizer)
    rows, validation = (
        encode(part, problem.tokenizer, longest, False) for part in (data.train, data.validation)
    )
    train, held_out = split_held_out(rows, validation, data.task, problem.seed)
    config = TrainingConfig.for_teacher(len(train), problem.quick, problem.seed, model.config.hidden_size)
    folder = problem.folder / "tasks" / data.task.name
    folder.mkdir(parents=True, exist_ok=True)
    stage = f"Dense teacher of {data.task.name}"
    fine_tune(model, problem.tokenizer, data.task, train, config, folder / "checkpoints", stage)
    return Member(data.task, model, train, held_out)


def own_teacher(problem: Problem, member: Member, objective: Objective) -> Teacher:
    """Return a task's dense model as the teacher of its rows."""
    folder: Path = problem.folder / "tasks" / member.task.name
    folder.mkdir(parents=True, exist_ok=True)
    layers = objective.hidden_layers
    return teacher_for(member.dense, problem.tokenizer, member.train, layers, folder / "teacher-outputs")


def rows_of(members: Sequence[Member]) -> Dataset:
    """Return the training rows of all tasks behind each other, each with its task's number."""
    parts = []
    for number, member in enumerate(members):
        rows = training_columns(member.train).remove_columns("position")
        labels = [float(label) for label in rows["label"][:]]
        rows = rows.remove_columns("label").add_column("label", labels)
        parts.append(rows.add_column(TASK, [number] * len(rows)))
    return concatenate_datasets(parts)


def pruned(model: PreTrainedModel, masks: Masks) -> PreTrainedModel:
    """Return a model without what masks remove: zeros among the weights, or smaller."""
    if any(kind in MATRICES for _, kind in masks):
        make_permanent(model, masks)
        return model.eval()
    small: PreTrainedModel = slice_units(model, masks).eval()
    return small


def scores_of(problem: Problem, member: Member, small: PreTrainedModel) -> dict[str, Any]:
    """Return what a task's dense model and its pruned one score on held-out rows."""
    labels = member.held_out.with_format("numpy")["label"][:]
    found: dict[str, Any] = {"name": member.task.name, "metric": member.task.metric, "n": len(labels)}
    for name, model in (("dense", member.dense), ("compressed", small)):
        logits = predict(model, member.held_out, problem.tokenizer, batch_size=64)
        found[name] = score(member.task.metric, logits, labels)
    return found
