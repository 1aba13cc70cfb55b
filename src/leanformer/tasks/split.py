"""Rows that search and calibration read, and no training and no report does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leanformer.errors import DataError
from leanformer.tasks.questions import GROUPS
from leanformer.tasks.words import OUTSIDE

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.tasks.task import Task

HELD_OUT_ROWS = 1024
HELD_OUT_SHARE = 0.1
STRATA = 8  # of length
FEWEST_ROWS_A_CELL = 16  # of the slice, a class and stratum
FEWEST_GROUPS = 10
"""Of articles or texts, that questions are drawn by them."""


@dataclass(frozen=True)
class Strata:
    """Groups of rows that a slice is to be drawn from more, or less, than others.

    Attributes:
        of_row: (rows,) the stratum of each row, from 0.
        weights: (strata,) how much likelier than in the data set a row of the slice is to be of a stratum.
    """

    of_row: np.ndarray
    weights: np.ndarray


def split_held_out(train: Dataset, validation: Dataset, task: Task, seed: int) -> tuple[Dataset, Dataset]:
    """Split off the training rows that search and calibration read, as long as the validation rows are.

    What pruning costs depends on the length of the texts, and training texts can be others than those that a model is
    for: SST-2's are mostly fragments of sentences, and a model that lost 0.6 points on a plain draw of them lost 3.8
    on validation (docs/speed.md). Of the validation rows only the lengths are read.

    Args:
        train: All training rows, encoded.
        validation: The validation rows, encoded.
        task: The task.
        seed: Seed of the draw.

    Returns:
        The remaining rows, and the slice: a tenth of the rows, and not more than `HELD_OUT_ROWS`.
    """
    rows = max(min(HELD_OUT_ROWS, round(HELD_OUT_SHARE * len(train))), task.num_labels)
    return hold_out(train, task, rows, seed, _strata(_lengths(train), _lengths(validation), rows, task))


def _lengths(encoded: Dataset) -> np.ndarray:
    return np.array([len(ids) for ids in encoded["input_ids"][:]])


def _strata(lengths: np.ndarray, like: np.ndarray, rows: int, task: Task) -> Strata:
    """Cut lengths at the quantiles of those that the slice is to have; fewer cuts for few rows of many classes."""
    classes = 2 if task.kind == "token-classification" else max(1, task.num_labels)
    count = max(1, min(STRATA, rows // (FEWEST_ROWS_A_CELL * classes)))
    cuts = np.unique(np.quantile(like, np.arange(1, count) / count))
    of_row, of_like = (np.searchsorted(cuts, some, side="right") for some in (lengths, like))
    here, there = (np.bincount(some, minlength=len(cuts) + 1) for some in (of_row, of_like))
    return Strata(of_row, np.maximum(there, 1) / np.maximum(here, 1))


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


def few_rows(rows: Dataset, task: Task, most: int, seed: int) -> Dataset:
    """Draw a part of a slice, with the same shares of the classes.

    Args:
        rows: The slice.
        task: The task.
        most: How many rows are enough.
        seed: Seed of the draw.

    Returns:
        So many rows, or all where there are not more.
    """
    return rows if len(rows) <= most else hold_out(rows, task, most, seed)[1]


def hold_out(
    dataset: Dataset, task: Task, rows: int, seed: int, strata: Strata | None = None
) -> tuple[Dataset, Dataset]:
    """Split a slice off, with the same shares of the classes.

    Args:
        dataset: Rows with `label`.
        task: The task.
        rows: The size of the slice; texts that make an example together stay together. Of questions whole articles
            are drawn, or whole texts where there are fewer than `FEWEST_GROUPS` articles, as near to the size as
            these come.
        seed: Seed of the draw.
        strata: Other shares of the slice, class by class, as far as the rows last: no more than half of the rows of
            a class and stratum go, unless they have to.

    Returns:
        The remaining rows and the slice, both in the order of the data set.

    Raises:
        DataError: If there are too few rows to leave any.
    """
    if not 0 < rows < len(dataset):
        raise DataError(
            f"{rows} rows can not be held out of {len(dataset)} training rows: give more training rows"
        )
    generator = np.random.default_rng(seed)
    if task.kind == "question-answering":
        held = _whole_groups(dataset, rows, generator)
        return dataset.select(np.flatnonzero(~held)), dataset.select(np.flatnonzero(held))
    each = task.texts_each
    labels = np.asarray(dataset["label"][::each])
    if task.kind == "token-classification":  # with spans, or without
        labels = np.any(labels > OUTSIDE, axis=1)
    elif task.kind != "classification":
        labels = np.zeros(len(labels), dtype=np.int64)
    rows = max(1, rows // each)
    order = generator.permutation(len(labels))
    strata = strata or Strata(np.zeros(len(dataset), dtype=np.int64), np.ones(1))
    of_example = strata.of_row[::each]
    pairs, cell, counts = np.unique([labels, of_example], axis=1, return_inverse=True, return_counts=True)
    wanted = counts * strata.weights[pairs[1]]
    taken = [
        order[cell[order] == number][:share] for number, share in enumerate(_shares(wanted, counts, rows))
    ]
    held = np.zeros(len(labels), dtype=bool)
    held[np.concatenate(taken)] = True
    held = held.repeat(each)
    return dataset.select(np.flatnonzero(~held)), dataset.select(np.flatnonzero(held))


def _whole_groups(dataset: Dataset, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Draw questions by what belongs together: articles, texts, or at least the strides of one question; (rows,)."""
    columns = [np.unique(np.asarray(dataset[name][:]), return_inverse=True)[1] for name in GROUPS]
    of_row = next((found for found in columns if found.max() + 1 >= FEWEST_GROUPS), columns[-1])
    sizes = np.bincount(of_row)
    if len(sizes) < 2:
        raise DataError("one question alone can not be divided: give more training rows")
    order = generator.permutation(len(sizes))
    count = int(np.abs(np.cumsum(sizes[order])[:-1] - rows).argmin()) + 1
    held: np.ndarray = np.isin(of_row, order[:count])
    return held


def _shares(wanted: np.ndarray, counts: np.ndarray, rows: int) -> np.ndarray:
    """Divide rows among groups in proportion to what is wanted, leaving half or one row of each where that can be."""
    exact = wanted * rows / wanted.sum()
    most = next(most for most in (counts // 2, counts - 1, counts) if most.sum() >= rows)
    shares = np.minimum(np.floor(exact).astype(np.int64), most)
    while shares.sum() < rows:
        shares[np.where(shares < most, exact - shares, -np.inf).argmax()] += 1
    return shares
