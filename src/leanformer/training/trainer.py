"""The one trainer: transformers' own, with a named objective, a teacher and pruning masks that stay in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from leanformer.encoders.outputs import logits_of
from leanformer.progress import bar
from leanformer.structure.exits import answers_between
from leanformer.structure.tokens import set_kept_tokens
from leanformer.training import processes
from leanformer.training.adversary import Adversary, perturbed
from leanformer.training.batching import POSITION, TASK, EpochSampler, TaskSampler
from leanformer.training.config import TrainingConfig
from leanformer.training.gates import Gates
from leanformer.training.lengths import Sandwich
from leanformer.training.neutral import Neutral, neutral_loss
from leanformer.training.objective import (
    Objective,
    cosine_loss,
    exits_loss,
    hidden_loss,
    logits_loss,
    one_a_row,
    task_loss,
    vectors_loss,
)
from leanformer.training.policy import policy_loss
from leanformer.training.several import choose_head
from leanformer.training.teacher import Teacher, has_fast_bfloat16

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OnStep = Callable[[int, int], None]


class CompressionTrainer(Trainer):
    """A `transformers.Trainer` whose loss is an `Objective`; resume, logging and devices come from its parent."""

    def __init__(
        self,
        *args: Any,
        objective: Objective,
        teacher: Teacher | None = None,
        dropout: bool = True,
        gates: Gates | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.gates = gates
        self.objective: Objective = objective
        self.teacher: Teacher | None = teacher
        self.dropout = dropout
        self.sampler: EpochSampler | None = None
        self.model_accepts_loss_kwargs = False  # the loss is a mean per batch

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the weighted sum of the objective's terms.

        Args:
            model: The student.
            inputs: A padded batch with `labels`, (batch,), (batch, tokens) or (batch, tokens, 2), and `position`,
                (batch,).
            return_outputs: Whether to return the model's outputs too.
            num_items_in_batch: Not used; the loss is a mean per batch.

        Returns:
            The loss, or the loss and the outputs.
        """
        rows, labels = inputs.pop(POSITION), inputs.pop("labels")
        if TASK in inputs:
            choose_head(self.accelerator.unwrap_model(model), int(inputs.pop(TASK)[0]))
        model.train(self.dropout)  # dropout is all that the mode changes in an encoder
        progress = self.state.global_step / max(1, self.state.max_steps)
        if self.gates is not None:
            self.gates.train()
            self.gates.advance(progress)
        if self.objective.trials is not None:
            bare = self.accelerator.unwrap_model(model)
            loss, outputs = policy_loss(bare, inputs, labels, self.objective.trials, progress)
        elif self.objective.neutral is not None:
            loss, outputs = self._loss_of_words(model, inputs, rows, labels, self.objective.neutral)
        elif self.objective.adversary is not None:
            loss, outputs = self._loss_under_attack(model, inputs, rows, labels, self.objective.adversary)
        elif self.objective.sandwich is not None:
            loss, outputs = self._loss_of_lengths(model, inputs, rows, labels, self.objective.sandwich)
        else:
            loss, outputs = self._loss(model, inputs, rows, labels)
        if self.gates is not None:
            loss = loss + self.gates.cost(progress)
        return (loss, outputs) if return_outputs else loss

    def _loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], rows: Tensor, labels: Tensor
    ) -> tuple[Tensor, Any]:
        """Return the weighted sum of the objective's terms, and the model's outputs."""
        goal, teacher = self.objective, self.teacher if self.objective.needs_teacher else None
        outputs = model(**inputs, output_hidden_states=goal.hidden > 0 or goal.exits is not None)
        answers = logits_of(outputs)
        labels = labels if answers.shape[-1] == 1 else labels.long()
        loss = goal.task * task_loss(answers, labels) if goal.task else answers.new_zeros(())
        logits, hidden = (None, None) if teacher is None else teacher.outputs(rows, inputs)
        if goal.logits and logits is not None:
            given, wanted = (one_a_row(one, inputs["attention_mask"], labels) for one in (answers, logits))
            distance = (
                vectors_loss(given, wanted) if goal.vectors else logits_loss(given, wanted, goal.temperature)
            )
            loss = loss + goal.logits * distance
        if goal.exits is not None:
            bare = self.accelerator.unwrap_model(model)
            between = answers_between(bare, outputs.hidden_states, inputs["attention_mask"])
            loss = loss + exits_loss(goal.exits, between, answers, labels)
        if self.gates is not None:
            self.gates.watch(loss)
        if goal.hidden and hidden is not None:
            states = [outputs.hidden_states[layer] for layer in goal.compared]
            apart = cosine_loss if goal.hidden_rule == "cosine" else hidden_loss
            loss = loss + goal.hidden * apart(states, hidden, inputs["attention_mask"])
        return loss, outputs

    def _loss_of_words(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        rows: Tensor,
        labels: Tensor,
        neutral: Neutral,
    ) -> tuple[Tensor, Any]:
        """Return the loss of words; where summed scores are all that learns, they have learned from it already."""
        loss, outputs = neutral_loss(model, inputs, rows, labels, neutral)
        if self.gates is not None:
            self.gates.watch(loss)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            loss = loss.detach().requires_grad_(True)  # nothing is left to go back to
        return loss, outputs

    def _loss_under_attack(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        rows: Tensor,
        labels: Tensor,
        adversary: Adversary,
    ) -> tuple[Tensor, Any]:
        """Go back through all steps of the noise but the last one, whose share of the loss is returned."""
        with perturbed(self.accelerator.unwrap_model(model), inputs["attention_mask"], adversary) as noise:
            for _ in range(adversary.steps - 1):
                loss, _ = self._loss(model, inputs, rows, labels)
                self.accelerator.backward(loss / adversary.steps)
                noise.ascend()
            loss, outputs = self._loss(model, inputs, rows, labels)
        return loss / adversary.steps, outputs

    def _loss_of_lengths(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        rows: Tensor,
        labels: Tensor,
        sandwich: Sandwich,
    ) -> tuple[Tensor, Any]:
        """Go back through all models of the sandwich but the smallest, whose share of the loss is returned."""
        bare = self.accelerator.unwrap_model(model)
        set_kept_tokens(bare, [1.0] * len(sandwich.least))
        loss, outputs = self._loss(model, inputs, rows, labels)
        mask = inputs["attention_mask"]
        answers = one_a_row(logits_of(outputs).detach(), mask, labels)
        for shares in sandwich.smaller(self.state.global_step):
            self.accelerator.backward(loss / sandwich.parts)
            set_kept_tokens(bare, shares)
            given = one_a_row(logits_of(model(**inputs)), mask, labels)
            loss = logits_loss(given, answers, temperature=1.0)
        return loss / sandwich.parts, outputs

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Give gates, which are a part of the model, a learning rate of their own."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(*args, **kwargs)
        if self.gates is not None:
            own = {id(parameter) for parameter in self.gates.parameters()}
            for group in optimizer.param_groups:
                group["params"] = [one for one in group["params"] if id(one) not in own]
            for group in self.gates.groups():
                optimizer.add_param_group(group)
        return optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        everyones = self.args.train_batch_size * processes.count()  # so that the order is that of one process
        if TASK in rows.column_names:
            self.sampler = TaskSampler(rows["input_ids"], rows[TASK][:], everyones, self.args.seed)
        else:
            self.sampler = EpochSampler(rows["input_ids"], everyones, self.args.seed)
        return self.sampler


class EpochKeeper(TrainerCallback):
    """Tells the sampler which epoch begins, however many wrappers lie around it.

    With several processes, the data loader of a training that resumes in the middle of an epoch wraps the sampler so
    deep that neither transformers nor accelerate reach it: that epoch would repeat the order of epoch 0.
    """

    def __init__(self, trainer: CompressionTrainer, steps_an_epoch: int) -> None:
        self.trainer = trainer
        self.steps_an_epoch = steps_an_epoch

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch before the rows' order is drawn."""
        if self.trainer.sampler is not None:
            self.trainer.sampler.set_epoch(state.global_step // self.steps_an_epoch)


class StageBar(TrainerCallback):
    """Shows the steps of a training stage as a bar that names it."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.progress = bar()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar, at the step where a resumed run goes on."""
        self.progress.start()
        self.task = self.progress.add_task(self.stage, total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        self.progress.update(self.task, completed=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the finished bar on the screen."""
        self.progress.stop()


class MaskKeeper(TrainerCallback):
    """Calls `on_step(step, total)` before the first step and after each optimiser step: masks stay, or grow."""

    def __init__(self, on_step: OnStep) -> None:
        self.on_step = on_step

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put the masks in force."""
        self.on_step(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put the masks in force again after the weights moved."""
        self.on_step(state.global_step, state.max_steps)


def training_arguments(config: TrainingConfig, steps: int, folder: Path) -> TrainingArguments:
    """Translate a recipe into transformers' arguments.

    Args:
        config: The recipe.
        steps: Optimiser steps of the whole run.
        folder: Where checkpoints are kept.

    Returns:
        The arguments: bfloat16 where the machine is fast at it, a checkpoint each tenth of the run; several processes
        share a batch.
    """
    return TrainingArguments(
        output_dir=str(folder),
        learning_rate=config.learning_rate,
        max_steps=steps,
        per_device_train_batch_size=processes.share_of(config.batch_size),
        warmup_steps=max(1, round(config.warmup_share * steps)),
        weight_decay=config.weight_decay,
        seed=config.seed,
        data_seed=config.seed,
        bf16=has_fast_bfloat16(),
        use_cpu=not torch.cuda.is_available(),
        ddp_backend="gloo" if processes.count() > 1 and not torch.cuda.is_available() else None,
        optim="adamw_torch_fused",
        logging_steps=max(1, steps // 60),
        save_steps=max(1, steps // 10),
        save_total_limit=1,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=False,
    )


def trainable(model: PreTrainedModel, train_embeddings: bool, only: str = "") -> None:
    """Set which parameters train: all, all but the embedding tables, or one kind of modules alone.

    Args:
        model: The model, changed in place.
        train_embeddings: Whether the tables train too.
        only: The name of the modules that train alone, wherever they are in the model; empty for all.
    """
    model.requires_grad_(not only)
    if only:
        for name, module in model.named_modules():
            if name.rpartition(".")[2] == only:
                module.requires_grad_(True)
        return
    # MPNet's table of relative biases is an nn.Embedding too, but lies in the encoder: it always trains.
    for module in model.base_model.get_submodule("embeddings").modules():
        if isinstance(module, torch.nn.Embedding):
            module.requires_grad_(train_embeddings)


@contextmanager
def fast_attention(model: PreTrainedModel) -> Iterator[None]:
    """Train with plain (eager) attention on a CPU; the model's own choice comes back afterwards.

    torch's fused attention falls back to a slow path with dropout, and its backward pass takes twice the time of
    the plain one here (e5-small, 32 x 56 tokens, bfloat16, one thread: 0.88 against 0.46 CPU seconds a step).

    Args:
        model: The model that trains.

    Yields:
        Nothing.
    """
    # Not by set_attn_implementation: it refuses our small classes, silently, unless it has met their parents before,
    # and a resumed run has not.
    usual = model.config._attn_implementation
    if model.device.type == "cpu" and not torch.cuda.is_available():
        model.config._attn_implementation = "eager"
    try:
        yield
    finally:
        model.config._attn_implementation = usual
