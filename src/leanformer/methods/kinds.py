"""Which methods can not compress a model of some kind of task, and which nothing else."""

from __future__ import annotations

from leanformer.errors import BudgetError
from leanformer.tasks.task import Kind

READ_LABELS = (
    "taylor-heads",
    "accuracy-driven",
    "astar-heads",
    "robust-tickets",
    "length-adaptive",
    "fastbert",
    "patience",
    "learned-exit",
    "multitask",
)
"""They read a loss against the labels, or an answer that may change; a vector has neither."""

ONE_ANSWER_A_TEXT = ("fastbert", "patience", "learned-exit", "robust-tickets", "multitask")
"""They read the answer of a whole text: so that it may leave early, be attacked, or be one of several tasks'."""

ANSWERS_BY_TOKEN = ("token-classification", "question-answering")

FOR_EMBEDDINGS = ("token-merge",)
"""Tried on nothing else here."""


def check_kind(method: str, kind: Kind) -> None:
    """Refuse a method for a kind of task that it can not do, before anything is computed.

    Args:
        method: A key of `leanformer.methods.registry.METHODS`.
        kind: The kind of task.

    Raises:
        BudgetError: If the method can not do it; names some that can.
    """
    if kind != "embedding" and method in FOR_EMBEDDINGS:
        raise BudgetError(
            f"{method} is for models of sentence embeddings (--kind embedding): to drop tokens of a classifier, take "
            "power-bert or length-adaptive"
        )
    if kind in ANSWERS_BY_TOKEN and method in ONE_ANSWER_A_TEXT:
        raise BudgetError(
            f"{method} needs one answer for a whole text, and {kind} asks every token: choose another method, for "
            "example ae-bert, or power-bert to drop tokens"
        )
    if kind == "embedding" and method in READ_LABELS:
        raise BudgetError(
            f"{method} goes by labels or changed answers, which sentence embeddings have not: choose a method that "
            "goes by the dense model's own, for example ae-bert, one-shot or drop-layers"
        )
