"""Which methods can not compress a model of sentence embeddings."""

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


def check_kind(method: str, kind: Kind) -> None:
    """Refuse a method that needs labels, or answers that stay or change, for a model of sentence embeddings.

    Args:
        method: A key of `leanformer.methods.registry.METHODS`.
        kind: The kind of task.

    Raises:
        BudgetError: If the method can not do it; names some that can.
    """
    if kind == "embedding" and method in READ_LABELS:
        raise BudgetError(
            f"{method} goes by labels or changed answers, which sentence embeddings have not: choose a method that "
            "goes by the dense model's own, for example ae-bert, one-shot or drop-layers"
        )
