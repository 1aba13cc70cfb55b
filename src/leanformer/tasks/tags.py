"""What the tags of a tagging task's table mean: spans of words, each of a type."""

from __future__ import annotations

from typing import Any

from leanformer.errors import DataError
from leanformer.tasks.labels import ROWS_PER_CLASS
from leanformer.tasks.read import Table
from leanformer.tasks.spans import iob2, span_labels
from leanformer.tasks.words import padded


def check_sentences(table: Table, words: str, tags: str | None) -> None:
    """Refuse sentences that are no lists of words, or have other numbers of tags than of words.

    Args:
        table: The table.
        words: The column of the words.
        tags: The column of their tags; None checks the words alone.

    Raises:
        DataError: If there is such a row; names it.
    """
    for index, sentence in enumerate(table.columns[words]):
        if not _is_words(sentence):
            raise DataError(
                f"{table.where(index)} has no list of words in '{words}': give at least one word a sentence, all of "
                "them text"
            )
        given = table.columns[tags][index] if tags else sentence
        if not isinstance(given, list) or len(given) != len(sentence):
            found = f"{len(given)} tags" if isinstance(given, list) else f"{given!r}"
            raise DataError(
                f"{table.where(index)} has {len(sentence)} words and {found} in '{tags}': give one tag a word"
            )


def _is_words(sentence: Any) -> bool:
    return isinstance(sentence, list) and bool(sentence) and all(isinstance(word, str) for word in sentence)


def sentence_tags(table: Table, column: str) -> list[list[str]]:
    """Spell the tags of a table in IOB2.

    Args:
        table: The table; each row has a list of tags.
        column: Its tag column.

    Returns:
        Tags as words, O or B- or I- of a type.

    Raises:
        DataError: If a tag is a number that no names belong to, or no tag at all; names the row.
    """
    names = table.label_names.get(column, ())
    return [
        iob2([_name(tag, names, table, column, index) for tag in tags])
        for index, tags in enumerate(table.columns[column])
    ]


def _name(tag: Any, names: tuple[str, ...], table: Table, column: str, index: int) -> str:
    if isinstance(tag, int) and 0 <= tag < len(names):
        return names[tag]
    if isinstance(tag, str) and tag.strip() and not tag.strip().lstrip("-").isdigit():
        return tag.strip()
    raise DataError(
        f"{table.where(index)} has the tag {tag!r} in '{column}', which names no type: give tags such as O and "
        "B-person as words, or parquet with the names of its classes"
    )


def tag_names(table: Table, column: str) -> tuple[str, ...]:
    """Collect the labels of a tagging task.

    Args:
        table: The table of training rows.
        column: Its tag column.

    Returns:
        See `leanformer.tasks.spans.span_labels`.

    Raises:
        DataError: If no sentence has a span, there are about as many types as words, or a tag names no type.
    """
    every = [tag for tags in sentence_tags(table, column) for tag in tags]
    types = {tag[2:] for tag in every if tag != "O"}
    if len(types) * ROWS_PER_CLASS > len(every):
        raise DataError(
            f"'{column}' of {table.source} holds {len(types)} types in {len(every)} words, too many for tags: give "
            "files of a word and its tag a line, or choose the column with --label"
        )
    if not types:
        raise DataError(
            f"every word of {table.source} has the tag O in '{column}', so there is nothing to learn: give "
            "sentences with spans, or choose another column with --label"
        )
    return span_labels(types)


def tag_ids(table: Table, column: str, labels: tuple[str, ...], width: int) -> list[list[int]]:
    """Turn tags into label ids.

    Args:
        table: The table.
        column: Its tag column.
        labels: The names of the task, position is the id.
        width: Words of the longest sentence of all tables.

    Returns:
        One id a word, padded to that width.

    Raises:
        DataError: If a type is not among them; names the row.
    """
    ids = {label: index for index, label in enumerate(labels)}
    rows = []
    for index, tags in enumerate(sentence_tags(table, column)):
        unknown = next((tag for tag in tags if tag not in ids), None)
        if unknown is not None:
            types = ", ".join(label[2:] for label in labels[1::2])
            raise DataError(
                f"{table.where(index)} has a span of the type '{unknown[2:]}' in '{column}', which the training rows "
                f"do not have ({types}): correct the tag, or add training rows of that type"
            )
        rows.append([ids[tag] for tag in tags])
    return padded(rows, width)
