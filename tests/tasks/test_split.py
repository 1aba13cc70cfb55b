"""Slices of rows: disjoint, stratified, and as long as the rows that they stand for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from leanformer.errors import DataError
from leanformer.tasks.split import HELD_OUT_ROWS, few_rows, hold_out, split_held_out
from leanformer.tasks.task import Task

BINARY = Task("reviews", "classification", False, ("a", "b"), "accuracy")


def skewed(rows: int) -> tuple[Dataset, Task]:
    labels = [0 if number % 10 else 1 for number in range(rows)]
    data = Dataset.from_dict({"text": ["t"] * rows, "label": labels, "row": list(range(1, rows + 1))})
    return data, Task("skewed", "classification", False, ("a", "b"), "accuracy")


def test_hold_out_is_stratified_disjoint_and_deterministic():
    data, task = skewed(200)
    rest, held = hold_out(data, task, 40, seed=3)
    assert Counter(held["label"][:]) == {0: 36, 1: 4}
    assert sorted(rest["row"][:] + held["row"][:]) == data["row"][:]
    assert held["row"][:] == hold_out(data, task, 40, seed=3)[1]["row"][:]
    assert held["row"][:] != hold_out(data, task, 40, seed=4)[1]["row"][:]
    assert held["row"][:] == sorted(held["row"][:])


@pytest.mark.parametrize("rows", [1, 7, 33, 199])
def test_hold_out_gives_the_number_asked_for(rows):
    data, task = skewed(200)
    rest, held = hold_out(data, task, rows, seed=0)
    assert (len(rest), len(held)) == (200 - rows, rows)


def test_hold_out_leaves_rare_classes_in_train():
    labels = [0] * 6 + [1, 2, 3, 4]
    data = Dataset.from_dict({"text": ["t"] * 10, "label": labels, "row": list(range(10))})
    rest, held = hold_out(data, Task("rare", "classification", False, tuple("abcde"), "accuracy"), 5, seed=0)
    assert (set(rest["label"][:]), held["label"][:]) == ({0, 1, 2, 3, 4}, [0] * 5)


def test_hold_out_of_regression_rows():
    values = np.linspace(0, 1, 50).tolist()
    data = Dataset.from_dict({"text": ["t"] * 50, "label": values, "row": list(range(50))})
    rest, held = hold_out(data, Task("r", "regression", False, (), "spearman"), 10, seed=0)
    assert (len(rest), len(held)) == (40, 10)


@pytest.mark.parametrize("rows", [0, 200, 500])
def test_hold_out_of_too_few_rows(rows):
    data, task = skewed(200)
    with pytest.raises(DataError, match=f"{rows} rows can not be held out of 200"):
        hold_out(data, task, rows, seed=0)


def encoded(lengths, seed=0):
    """Rows of these lengths, of two classes that do not depend on them."""
    labels = np.random.default_rng(seed).integers(0, 2, len(lengths)).tolist()
    return Dataset.from_dict({"input_ids": [[1] * int(length) for length in lengths], "label": labels})


def mean_length(rows):
    return float(np.mean([len(ids) for ids in rows["input_ids"][:]]))


def test_held_out_rows_are_as_long_as_validation_rows_though_most_training_rows_are_short():
    draw = np.random.default_rng(0)
    train = encoded(draw.geometric(1 / 12, 8000) + 2)
    validation = encoded(draw.normal(25, 8, 800).clip(4, 60).round())
    rest, held = split_held_out(train, validation, BINARY, seed=0)
    assert (len(rest), len(held)) == (7200, 800)
    assert mean_length(train) < 16
    assert mean_length(held) == pytest.approx(mean_length(validation), abs=1.5)
    assert np.mean(held["label"][:]) == pytest.approx(np.mean(train["label"][:]), abs=0.02)


def test_no_more_than_half_of_the_rare_lengths_are_held_out():
    train, validation = encoded([5] * 1980 + [40] * 20), encoded([40] * 100)
    rest, held = split_held_out(train, validation, BINARY, seed=0)
    assert len(held) == 200
    assert sum(len(ids) == 40 for ids in rest["input_ids"][:]) >= 10


def test_held_out_rows_of_lengths_that_training_lacks():
    rest, held = split_held_out(encoded([5] * 300), encoded([40] * 100), BINARY, seed=0)
    assert (len(rest), len(held)) == (270, 30)


def test_many_classes_keep_their_shares():
    task = Task("topics", "classification", False, tuple(map(str, range(50))), "accuracy")
    train = encoded([5, 9, 20, 40] * 500).remove_columns("label")
    train = train.add_column("label", [number % 50 for number in range(2000)])
    _, held = split_held_out(train, train, task, seed=0)
    assert set(Counter(held["label"][:]).values()) == {4}


def test_the_slice_is_bounded_and_a_part_of_it_keeps_the_classes():
    train = encoded([5] * 20_000)
    _, held = split_held_out(train, train, BINARY, seed=0)
    assert len(held) == HELD_OUT_ROWS
    few = few_rows(held, BINARY, 100, seed=0)
    assert len(few) == 100
    assert np.mean(few["label"][:]) == pytest.approx(np.mean(held["label"][:]), abs=0.01)
    assert few_rows(held, BINARY, 5000, seed=0) is held
