"""What the values of a label column mean: class names, or numbers to predict."""

from __future__ import annotations

import math
from typing import Any

from leanformer.errors import DataError
from leanformer.tasks.read import Table
from leanformer.tasks.task import Kind

MANY_INTEGERS = 100  # more different whole numbers than this are rather amounts than classes
ROWS_PER_CLASS = 2  # fewer rows a class than this on average: rather free text than class names


def check_varied(table: Table, column: str) -> None:
    """Refuse training rows whose labels are all the same.

    Args:
        table: The table of training rows.
        column: Its label column.

    Raises:
        DataError: If there is one class, or one value, only.
    """
    values = table.columns[column]
    if len(set(map(_meaning, values))) < 2:
        raise DataError(
            f"every row of {table.source} has the same label {values[0]!r} in '{column}', so there is nothing to "
            "learn: give rows of at least two classes, or choose another column with --label"
        )


def check_present(table: Table, column: str) -> None:
    """Refuse labels that are missing, or are lists or the like.

    Args:
        table: The table.
        column: Its label column.

    Raises:
        DataError: If there is such a label; names the row.
    """
    for index, value in enumerate(table.columns[column]):
        if isinstance(value, list | dict):
            raise DataError(
                f"{table.where(index)} has the label {value!r} in '{column}', which is no single word or number: "
                "give one label a row, or choose another column with --label"
            )
        if is_missing(value):
            raise DataError(f"{table.where(index)} has no label in '{column}': fill it in, or drop the row")


def is_missing(value: Any) -> bool:
    """Whether a value is absent: None, not-a-number, or a blank string."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def guess_kind(table: Table, column: str) -> Kind:
    """Guess from its labels whether a task is classification or regression.

    Words, whole numbers and booleans are classes; numbers with a fraction are values to predict.

    Args:
        table: The table of training rows; no label is missing.
        column: Its label column.

    Returns:
        The kind of task.

    Raises:
        DataError: If there are so many different labels that either reading is doubtful.
    """
    if column in table.label_names:
        return "classification"
    distinct = set(map(str, table.columns[column]))
    numbers = [_number(value) for value in distinct]
    if any(number is None for number in numbers):
        _check_few_names(table, column, distinct)
        return "classification"
    if any(number is not None and number != int(number) for number in numbers):
        return "regression"
    whole = set(numbers)  # 1 and 1.0 are one
    if len(whole) > MANY_INTEGERS:
        raise DataError(
            f"the label column '{column}' of {table.source} holds {len(whole)} different whole numbers: "
            "say whether they are classes or amounts with --kind classification or --kind regression"
        )
    return "classification"


def _number(value: Any) -> float | None:
    """Read a finite number, or None."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _check_few_names(table: Table, column: str, distinct: set[str]) -> None:
    """Refuse a column of names that hardly ever repeat."""
    rows = len(table.rows)
    if len(distinct) > 2 and len(distinct) * ROWS_PER_CLASS > rows:
        raise DataError(
            f"the label column '{column}' of {table.source} holds {len(distinct)} different values in {rows} "
            "rows, too many for classes: choose the column with --label"
        )


def _meaning(value: Any) -> float | str:
    """Reduce a label to what it says, so that 0.5 and '0.50', 'a' and 'a ' are one."""
    number = _number(value)
    return class_name(value) if number is None else number


def class_name(value: Any) -> str:
    """Name a class: whole numbers without a fraction, so that 1, 1.0 and '1' are one class."""
    number = _number(value)
    if number is not None and number == int(number):
        return str(int(number))
    return str(value).strip().lower() if isinstance(value, bool) else str(value).strip()


def class_names(table: Table, column: str) -> tuple[str, ...]:
    """Collect the classes of a label column.

    Args:
        table: The table of training rows; no label is missing.
        column: Its label column.

    Returns:
        The names: as the data set orders them, or else sorted, numbers by value.
    """
    if column in table.label_names:
        return table.label_names[column]
    names = {class_name(value) for value in table.columns[column]}
    numeric = all(_number(name) is not None for name in names)
    return tuple(sorted(names, key=float) if numeric else sorted(names))


def class_ids(table: Table, column: str, labels: tuple[str, ...]) -> list[int]:
    """Turn class names into ids.

    Args:
        table: The table; no label is missing.
        column: Its label column.
        labels: The names of the task, position is the id.

    Returns:
        One id a row.

    Raises:
        DataError: If a label is not among them; names the row.
    """
    values, own_names = table.columns[column], table.label_names.get(column, ())
    if own_names == labels and all(0 <= value < len(labels) for value in values):
        return list(values)
    if own_names:
        values = [own_names[value] if 0 <= value < len(own_names) else value for value in values]
    names = [class_name(value) for value in values]
    ids = {class_name(name): index for index, name in enumerate(labels)}
    for index, name in enumerate(names):
        if name not in ids:
            shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
            raise DataError(
                f"{table.where(index)} has the label '{name}' in '{column}', which the training rows do not "
                f"have ({shown}): correct the label, or add training rows of that class"
            )
    return [ids[name] for name in names]


def target_values(table: Table, column: str) -> list[float]:
    """Turn labels into numbers to predict.

    Args:
        table: The table; no label is missing.
        column: Its label column.

    Returns:
        One value a row.

    Raises:
        DataError: If a label is not a finite number; names the row.
    """
    values = []
    for index, value in enumerate(table.columns[column]):
        number = _number(value)
        if number is None:
            raise DataError(
                f"{table.where(index)} has the label {value!r} in '{column}', which is not a number as "
                "regression needs: correct it, or ask for --kind classification"
            )
        values.append(number)
    return values
