"""What the columns of a table of questions mean: a question, the text that holds its answer, and where it stands."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from leanformer.errors import DataError
from leanformer.tasks.columns import Columns
from leanformer.tasks.labels import is_missing
from leanformer.tasks.read import Table

ANSWERS, BEGINS = "answers", "begins"
ARTICLE, PARAGRAPH, QUESTION = "article", "paragraph", "row"
GROUPS = (ARTICLE, PARAGRAPH, QUESTION)
"""Columns of what belongs together, the widest first: who has read one question of a text knows the text."""

TITLE = "title"
PLACES = ("start", "end")
"""What a model says of each token: whether the answer starts there, and whether it ends there."""


def question_rows(table: Table, columns: Columns) -> dict[str, list[Any]]:
    """Bring a table of questions into the form of `leanformer.tasks.task.TaskData`.

    Args:
        table: The table; answers have "text" and "answer_start", as SQuAD's and the hub's data sets have them.
        columns: Where the question (`text`), its text (`text_pair`) and its answers (`label`) are.

    Returns:
        `text`, `text_pair`, `answers` (texts) and `begins` (the character that each begins with, from 0); and the
        numbers `article` (that of the paragraph, where there are no titles), `paragraph` and `row`.

    Raises:
        DataError: If a question, its text or its answers are missing, or an answer does not stand where it should;
            names the row.
    """
    asked, contexts = (_texts(table, column) for column in (columns.text, str(columns.text_pair)))
    given = [_answers(table, columns.label, index, text) for index, text in enumerate(contexts)]
    titles = table.columns.get(TITLE, contexts)
    return {
        "text": asked,
        "text_pair": contexts,
        ANSWERS: [texts for texts, _ in given],
        BEGINS: [begins for _, begins in given],
        ARTICLE: _numbered(titles if all(map(_speaks, titles)) else contexts),
        PARAGRAPH: _numbered(contexts),
        QUESTION: table.rows,
    }


def _texts(table: Table, column: str) -> list[str]:
    texts = table.columns[column]
    for index, text in enumerate(texts):
        if not isinstance(text, str) or is_missing(text):
            raise DataError(f"{table.where(index)} has no text in '{column}': fill it in, or drop the row")
    return texts


def _speaks(title: Any) -> bool:
    return isinstance(title, str) and bool(title.strip())


def _numbered(values: Iterable[Hashable]) -> list[int]:
    """Number values in the order in which they are first met."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def _answers(table: Table, column: str, index: int, context: str) -> tuple[list[str], list[int]]:
    """Return the answers of a row and where they begin, checked."""
    value = table.columns[column][index]
    texts, begins = (
        value.get(name) if isinstance(value, dict) else None for name in ("text", "answer_start")
    )
    if not isinstance(texts, list) or not isinstance(begins, list) or len(texts) != len(begins):
        raise DataError(
            f"{table.where(index)} has no answers in '{column}': give the lists 'text' and 'answer_start', of the "
            "same length"
        )
    if not texts:
        raise DataError(
            f"{table.where(index)} has no answer in its text, as SQuAD 2.0 has such questions: models are trained "
            "here to answer every question, so leave these out"
        )
    for text, begin in zip(texts, begins, strict=True):
        stands = isinstance(text, str) and isinstance(begin, int) and begin >= 0 and bool(text.strip())
        if not stands or context[begin : begin + len(text)] != text:
            raise DataError(
                f"{table.where(index)} has the answer {text!r} at {begin!r}, and it does not stand there in its "
                "text: answer_start counts characters from 0; correct it"
            )
    return texts, begins
