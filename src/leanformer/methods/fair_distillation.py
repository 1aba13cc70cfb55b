"""FairDistillation (Delobelle & Berendt 2022, ECML-PKDD): a student of a teacher that can not tell some words apart.

What its code states (iPieter/universal-distillation): for each pair of tokens, such as "he" and "she", the teacher's
logits are both set to their mean before the loss, which is DistilBERT's on tokens that are no padding,
5 T^2 KL(teacher || student) + 2 L_MLM + 1 (1 - cos of the last states), T = 2; a student of half the layers, with new
weights; AdamW at 2e-5, batches of 32, 3 epochs. The README says that probabilities are equalised: the mean of logits
is their geometric mean. L_MLM keeps the true labels, through which a part of the pronouns' signal returns. Result
tables were not readable here, so no figure of the paper is given.

Ours:
- groups of any number of words, one form at a time (as they stand, with a capital, behind a space); `even`
  "probabilities" is the README's rule, "logits", the default, the code's;
- `labels` "free": blanks whose word is in a group get no label, so that the teacher alone says what stands there;
- the student starts from every other layer of the teacher, as DistilBERT does, and its embeddings stay as they are
  (`start` "teacher"): what a text of some megabytes can train here; "random" is the code's start;
- blanks are drawn once, by the seed; a second student without the groups tells what the groups did (`control`);
- learning rate 3e-4: the student is narrow, and the training short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.methods.method import Value
from leanformer.structure.depth import keep_layers
from leanformer.tasks.task import Task
from leanformer.training.blanks import blank_rows
from leanformer.training.config import TrainingConfig
from leanformer.training.even_teacher import EvenTeacher
from leanformer.training.finetune import fine_tune
from leanformer.training.objective import Objective
from leanformer.training.teacher import LiveTeacher, Teacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOGITS, LABELS, STATES, TEMPERATURE = 5.0, 2.0, 1.0, 2.0
_BLANKS = Task("blanks", "token-classification", pair=False, labels=(), metric="token-accuracy")


@dataclass(frozen=True)
class Lesson:
    """What is distilled.

    Attributes:
        model: The teacher, with a head for masked words; it is left as it is.
        tokenizer: Its tokenizer.
        texts: What the student reads.
        groups: Token ids of each group; none for the control.
        options: The method's settings.
        seed: Of blanks, order and new weights.
        folder: Keeps checkpoints, so that a killed training goes on.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    texts: Sequence[str]
    groups: Sequence[Sequence[int]]
    options: Mapping[str, Value]
    seed: int
    folder: Path


def student_layers(model: PreTrainedModel, asked: int) -> list[int]:
    """Return which layers of the teacher a student takes: evenly spaced, the last one of each part.

    Args:
        model: The teacher.
        asked: How many; 0 for half of them.

    Returns:
        Layers, from 0.

    Raises:
        ModelError: If the teacher has fewer.
    """
    there = EncoderView(model).n_layers
    count = asked or max(1, there // 2)
    if not 1 <= count <= there:
        raise ModelError(
            f"the student can not have {count} of {there} layers: give --option layers=1 to {there}"
        )
    return [(number + 1) * there // count - 1 for number in range(count)]


def new_student(lesson: Lesson) -> PreTrainedModel:
    """Return the student before it learns.

    Args:
        lesson: The teacher and settings.

    Returns:
        A model of the teacher's class.
    """
    kept = student_layers(lesson.model, int(lesson.options["layers"]))
    if EncoderView(lesson.model).family.pre_norm:
        kept[0] = 0  # such a family can not do without its first layer
    student: PreTrainedModel = keep_layers(lesson.model, kept)
    if lesson.options["start"] == "random":
        with torch.random.fork_rng():
            torch.manual_seed(lesson.seed)
            student = type(student)(student.config)
    return student.eval()


def distilled(lesson: Lesson, stage: str) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Distil a student; a killed training goes on from its checkpoint.

    Args:
        lesson: Teacher, texts and groups.
        stage: Name on the progress bar.

    Returns:
        The student, and the training's facts.
    """
    options, student = lesson.options, new_student(lesson)
    free = options["labels"] == "free"
    unasked = {token for group in lesson.groups for token in group} if free else set()
    rows = blank_rows(lesson.texts, lesson.tokenizer, int(options["tokens"]), lesson.seed, unasked)
    last = EncoderView(lesson.model).n_layers
    teacher: Teacher = LiveTeacher(lesson.model, (last,))
    if lesson.groups:
        teacher = EvenTeacher(teacher, lesson.groups, str(options["even"]))
    config = TrainingConfig(
        learning_rate=float(options["learning_rate"]),
        epochs=1,
        batch_size=int(options["batch"]),
        seed=lesson.seed,
        train_embeddings=options["start"] == "random",
        dropout=False,
    )
    goal = Objective(
        task=LABELS,
        logits=LOGITS,
        hidden=STATES,
        temperature=TEMPERATURE,
        hidden_layers=(last,),
        student_layers=(EncoderView(student).n_layers,),
        hidden_rule="cosine",
    )
    result = fine_tune(student, lesson.tokenizer, _BLANKS, rows, config, lesson.folder, stage, goal, teacher)
    curve = [{"step": step, "loss": loss} for step, loss in result.curve]
    return student, {"seconds": result.seconds, "steps": result.steps, "rows": len(rows), "curve": curve}
