"""Rows that search and calibration read, and no training and no report does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leanformer.tasks.load import hold_out

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.tasks.task import Task

HELD_OUT_ROWS = 512
HELD_OUT_SHARE = 0.1


def split_held_out(train: Dataset, task: Task, seed: int) -> tuple[Dataset, Dataset]:
    """Split off the training rows that search and calibration read.

    Args:
        train: All training rows.
        task: The task.
        seed: Seed of the draw.

    Returns:
        The remaining rows, and the slice.
    """
    rows = max(min(HELD_OUT_ROWS, round(HELD_OUT_SHARE * len(train))), task.num_labels)
    return hold_out(train, task, rows, seed)


def split_validation(validation: Dataset, task: Task, seed: int) -> tuple[Dataset, Dataset]:
    """Split off the validation rows that judge where a model has perhaps been trained on every training row.

    On rows that it knows by heart a model scores better than on any others, and whatever is trained anew without
    them seems to lose.

    Args:
        validation: All validation rows.
        task: The task.
        seed: Seed of the draw.

    Returns:
        The rows to report, and the slice: half of the rows, and not more than `HELD_OUT_ROWS`.
    """
    return hold_out(validation, task, min(HELD_OUT_ROWS, len(validation) // 2), seed)
