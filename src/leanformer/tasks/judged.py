"""What a model's answers are judged against, and how many examples rows are: a row need not be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leanformer.tasks.places import asked_tokens, wanted_of
from leanformer.tasks.questions import QUESTION
from leanformer.tasks.strides import place_labels
from leanformer.tasks.words import IGNORED, OFFSETS

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.tasks.task import Task


def labels_of(rows: Dataset) -> np.ndarray:
    """Return what answers are judged against, one a row.

    Args:
        rows: A data set made by `leanformer.tasks.encode.encode`.

    Returns:
        Label ids or values, (rows,), or (rows, words); for questions `leanformer.tasks.places.Wanted`.
    """
    return wanted_of(rows) if OFFSETS in rows.column_names else np.asarray(rows["label"][:])


def loss_labels(rows: Dataset) -> np.ndarray:
    """Return what `leanformer.training.objective.row_losses` reads beside gathered answers.

    Args:
        rows: A data set made by `leanformer.tasks.encode.encode`.

    Returns:
        Labels, (rows,), or (rows, words); for questions (rows, tokens, 2), see `place_labels`.
    """
    if OFFSETS not in rows.column_names:
        return np.asarray(rows["label"][:])
    lengths = [len(tokens) for tokens in rows["input_ids"][:]]
    return place_labels(rows["label"][:], lengths, len(rows[0][OFFSETS]) // 2)


def examples_in(rows: Dataset, task: Task) -> int:
    """Return how many examples rows are: questions may have several strides, and pairs of embeddings have two rows.

    Args:
        rows: Rows of the task, encoded or not.
        task: The task.

    Returns:
        The number that a score is said to be of.
    """
    if task.kind == "question-answering":
        return len(set(rows[QUESTION][:]))
    return len(rows) // task.texts_each


def answered_badly(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which rows are answered with no finite number where something is asked, (rows,).

    Args:
        logits: (rows, labels), or (rows, words or tokens, labels).
        labels: What `labels_of` returns.

    Returns:
        Booleans.
    """
    damaged: np.ndarray = (~np.isfinite(logits)).any(axis=-1)  # (rows,), or (rows, words or tokens)
    if damaged.ndim == 1:
        return damaged
    asked = asked_tokens(labels) if labels.dtype == object else labels != IGNORED
    return (damaged & asked).any(axis=1)
