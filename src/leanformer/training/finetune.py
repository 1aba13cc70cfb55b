"""Fine-tuning: of the dense teacher, and of what is left after pruning."""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import PrinterCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint, set_seed

from leanformer.errors import ModelError
from leanformer.tasks.heads import silence
from leanformer.tasks.task import DISCRETE, Task
from leanformer.training import processes
from leanformer.training.batching import Collator, training_columns
from leanformer.training.config import TrainingConfig
from leanformer.training.gates import Gates
from leanformer.training.objective import Objective
from leanformer.training.teacher import Teacher
from leanformer.training.trainer import (
    CompressionTrainer,
    EpochKeeper,
    MaskKeeper,
    OnStep,
    StageBar,
    fast_attention,
    trainable,
    training_arguments,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainingResult:
    """What a training run cost and how it went.

    Attributes:
        seconds: Wall time of this process's part of the run.
        steps: Optimiser steps of the whole run.
        epochs: Passes over the training rows.
        curve: (step, loss) pairs; each loss is the mean since the pair before.
    """

    seconds: float
    steps: int
    epochs: float
    curve: tuple[tuple[int, float], ...]


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Dataset,
    config: TrainingConfig,
    folder: Path,
    stage: str,
    objective: Objective | None = None,
    teacher: Teacher | None = None,
    on_step: OnStep | None = None,
    gates: Gates | None = None,
) -> TrainingResult:
    """Train a model in place; a killed run goes on from its last checkpoint in `folder`.

    Args:
        model: The model; left in eval mode.
        tokenizer: Pads the batches.
        task: Says whether labels are classes or scores.
        train: Encoded rows.
        config: The recipe.
        folder: Checkpoints; the caller removes it when its own result is safe.
        stage: Name on the progress bar.
        objective: What to minimise; the labels alone by default.
        teacher: Outputs to distil from, where the objective asks for them.
        on_step: Called as on_step(step, total) before training and after each step, to keep masks in force.
        gates: Gates that train too; the caller keeps them in force.

    Returns:
        Cost and loss curve.

    Raises:
        ModelError: If the training ends in weights that are no numbers.
    """
    started = time.perf_counter()
    processes.join()
    config, folder, checkpoint = processes.from_leader(  # what was measured may differ in the last bits
        lambda: (config, folder, last_whole_checkpoint(folder))
    )
    steps_an_epoch = math.ceil(len(train) / config.batch_size)
    steps = min(config.max_steps or math.inf, config.epochs * steps_an_epoch)
    set_seed(config.seed)
    home = model.device
    trainable(model, config.train_embeddings, config.only)
    bar = StageBar(stage)
    callbacks = [bar] + ([MaskKeeper(on_step)] if on_step else [])
    trainer = CompressionTrainer(
        model=model,
        args=training_arguments(config, int(steps), folder),
        train_dataset=training_columns(train),
        data_collator=Collator(tokenizer, regression=task.kind not in DISCRETE),
        callbacks=callbacks,
        objective=objective or Objective(),
        teacher=teacher,
        dropout=config.dropout,
        gates=gates,
    )
    trainer.add_callback(EpochKeeper(trainer, steps_an_epoch))
    trainer.remove_callback(PrinterCallback)  # it prints on standard output
    try:
        with silence(), fast_attention(model):
            trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        bar.progress.stop()  # a bar that an error left on the screen would hide all later ones
    _in_full_precision(model)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise ModelError(
            f"{stage}: the training ended in weights that are no numbers, and nothing of it is kept. Look for values "
            "that are none in the model and in the data; an OMP_THREAD_LIMIT below --threads does it, too"
        )
    model.requires_grad_(True).eval().to(home)  # transformers has left it on the GPU, where there is one
    curve = tuple(
        (int(entry["step"]), float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry
    )
    return TrainingResult(time.perf_counter() - started, int(steps), steps / steps_an_epoch, curve)


def _in_full_precision(model: PreTrainedModel) -> None:
    """Take accelerate's mixed precision off a trained model, or it answers otherwise than it will from its file.

    Its own `unwrap_model` takes off the decorators of transformers' forward too.
    """
    if model.__dict__.pop("_original_forward", None) is not None:
        del model.forward  # the instance's; the class's is left


def last_whole_checkpoint(folder: Path) -> str | None:
    """Find the newest checkpoint that is complete, and remove those that a kill cut short.

    Args:
        folder: Where a trainer keeps its checkpoints; it need not exist.

    Returns:
        The checkpoint's folder, or None.
    """
    while folder.is_dir() and (newest := get_last_checkpoint(str(folder))):
        try:
            json.loads((Path(newest) / TRAINER_STATE_NAME).read_text(encoding="utf-8"))  # it is written last
        except (OSError, ValueError):
            whole = False
        else:  # but for the random states of other processes
            together = processes.count()
            whole = together == 1 or len(list(Path(newest).glob("rng_state_*.pth"))) >= together
        if whole:
            return newest
        shutil.rmtree(newest)
    return None
