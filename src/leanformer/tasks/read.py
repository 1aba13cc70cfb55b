"""Reading tables: csv, tsv, JSON lines, json, parquet, CoNLL and SQuAD, each row remembered by its place."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leanformer.errors import DataError
from leanformer.tasks import conll, squad

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", *conll.SUFFIXES)
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Table:
    """A table as it was read, before anyone says what its columns mean.

    Attributes:
        source: The file (or hub data set and split) for messages.
        columns: Column name -> its values, all of the same length; values of csv and tsv are strings.
        rows: The place of each row in the source, counted from 1.
        unit: What `rows` counts: `line`, `row` or `question`.
        label_names: Names of the classes for columns that carry them (parquet and hub data sets do).
    """

    source: str
    columns: dict[str, list[Any]]
    rows: list[int]
    unit: str = "line"
    label_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def where(self, index: int) -> str:
        """Say where a row stands, for a message."""
        return f"{self.source} {self.unit} {self.rows[index]}"


def read_table(path: str | Path) -> Table:
    """Read a table.

    Args:
        path: A file whose suffix is one of `SUFFIXES`.

    Returns:
        The table; it has at least one row.

    Raises:
        DataError: If the file is missing, empty, of another type, or holds a row that can not be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}: check the path")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} is not one of {', '.join(SUFFIXES)}: convert it, or rename it to what it is")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: give a file with a header and rows")
    if suffix == ".parquet":
        table = _read_parquet(path)
    elif suffix in (".jsonl", ".json"):
        table = _read_json(path)
    elif suffix in conll.SUFFIXES:
        table = _read_conll(path)
    else:
        table = _read_separated(path)
    if not table.rows:
        raise DataError(f"{path} has no rows: give a file with at least one row of data")
    return table


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte-order mark.

    Args:
        path: The file.

    Returns:
        Its text; line ends are left as they are.

    Raises:
        DataError: If a byte is not UTF-8; the message names its line.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} line {line} can not be decoded (byte 0x{content[error.start]:02x} is not UTF-8): "
            "save the file as UTF-8"
        ) from error


def _read_separated(path: Path) -> Table:
    """Read csv or tsv.

    Tab-separated text has no quoting rules (IANA text/tab-separated-values), and real files hold lone quotes.
    Some programs quote all the same; so quotes are obeyed only where the fields do not add up without.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty: give a file with a header and rows")
    if path.suffix.lower() == ".csv":
        header = text.split("\n", 1)[0]
        return separated_table(path, text, max(DELIMITERS, key=header.count), quoted=True)
    try:
        return separated_table(path, text, "\t", quoted=False)
    except DataError:
        with suppress(DataError):  # if quotes do not help either, the first error is the one to show
            return separated_table(path, text, "\t", quoted=True)
        raise


def separated_table(
    path: Path, text: str, delimiter: str, quoted: bool, header: list[str] | None = None
) -> Table:
    """Parse separated text and check that each record has as many fields as the header.

    Args:
        path: The file, for messages.
        text: Its content.
        delimiter: What stands between fields.
        quoted: Whether double quotes protect delimiters and line ends.
        header: Column names, where the first record is data already; records may then hold further fields at
            their end, which are dropped.

    Returns:
        The table of strings.

    Raises:
        DataError: If there is no record, or one can not be parsed or has another number of fields; names the line.
    """
    records, lines = parse_separated(path, text, delimiter, quoted)
    if header is not None:
        records = [record[: len(header)] for record in records]
    elif not records:  # nothing but an empty field in quotes
        raise DataError(f"{path} is empty: give a file with a header and rows")
    else:
        header = [name.strip() or f"column_{place}" for place, name in enumerate(records[0], 1)]
        records, lines = records[1:], lines[1:]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(
            f"{path} line 1 names the column '{repeated[0]}' twice: give each column its own name"
        )
    for record, line in zip(records, lines, strict=True):
        if len(record) != len(header):
            raise DataError(
                f"{path} line {line} can not be decoded: it has {len(record)} fields and the header has "
                f"{len(header)}; correct the line (in csv a text that holds the separator needs double quotes)"
            )
    columns = [list(values) for values in zip(*records, strict=True)] or [[] for _ in header]
    return Table(str(path), dict(zip(header, columns, strict=True)), lines)


def parse_separated(path: Path, text: str, delimiter: str, quoted: bool) -> tuple[list[list[str]], list[int]]:
    """Split separated text into records.

    Args:
        path: The file, for messages.
        text: Its content.
        delimiter: What stands between fields.
        quoted: Whether double quotes protect delimiters and line ends.

    Returns:
        The records, blank lines left out, and the line each starts on.

    Raises:
        DataError: If a quoted field does not end; names the line.
    """
    csv.field_size_limit(
        sys.maxsize
    )  # the module's own limit of 131,072 characters is less than long documents
    # split at \n alone: a form feed or U+2028 inside a text does not end the line
    source = (line + "\n" for line in text.split("\n"))
    if quoted:
        reader = csv.reader(source, delimiter=delimiter, strict=True)
    else:
        reader = csv.reader(source, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    records, lines, before = [], [], 0
    try:
        for record in reader:
            if len(record) > 1 or any(field.strip() for field in record):  # else a blank line
                records.append(record)
                lines.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        raise DataError(
            f"{path} line {before + 1} can not be decoded ({error}): correct the quotes of its record"
        ) from error
    return records, lines


def _read_json(path: Path) -> Table:
    """Read JSON lines, one json list of objects, or SQuAD's layout."""
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty: give one JSON object a line")
    if squad.is_squad(text):
        found = squad.questions(str(path), _parse_json(path, 1, text))
        names = ("title", "context", "question", "answers")
        columns = {name: [getattr(question, name) for question in found] for name in names}
        for number, one in enumerate(found, 1):
            _check_characters({"context": one.context, "question": one.question}, f"{path} question {number}")
        return Table(str(path), columns, list(range(1, len(found) + 1)), "question")
    if text.lstrip()[0] == "[":
        items = _parse_json(path, 1, text)
        return _objects_table(path, items, list(range(1, len(items) + 1)), "row")
    items, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            items.append(_parse_json(path, number, line))
            lines.append(number)
    return _objects_table(path, items, lines, "line")


def _parse_json(path: Path, line: int, text: str) -> Any:
    """Parse JSON that begins on a line of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _bad_json(path, line + error.lineno - 1, error.msg) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets in brackets
        raise _bad_json(path, line, str(error).partition(";")[0]) from error


def _bad_json(path: Path, line: int, reason: str) -> DataError:
    """Say which JSON can not be decoded."""
    return DataError(
        f"{path} line {line} can not be decoded ({reason}): correct its JSON (one object a line)"
    )


def _objects_table(path: Path, items: list[Any], places: list[int], unit: str) -> Table:
    """Turn JSON objects into columns; a key that an object lacks becomes None."""
    names: dict[str, None] = {}
    for item, place in zip(items, places, strict=True):
        if not isinstance(item, dict):
            raise DataError(
                f"{path} {unit} {place} is not a JSON object: give objects with the columns as keys"
            )
        _check_characters(item, f"{path} {unit} {place}")
        names.update(dict.fromkeys(item))
    return Table(str(path), {name: [item.get(name) for item in items] for name in names}, places, unit)


def _check_characters(item: dict[str, Any], where: str) -> None:
    """Refuse half surrogate pairs: JSON can spell them, but they are no characters."""
    try:
        "".join([*item, *(value for value in item.values() if isinstance(value, str))]).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where} can not be decoded (it holds one half of a surrogate pair, \\ud800 to \\udfff): correct it"
        ) from error


def _read_conll(path: Path) -> Table:
    """Read a file of one word and its tag a line."""
    found = conll.tagged_sentences(str(path), read_text(path))
    columns = {name: [getattr(sentence, name) for sentence in found] for name in ("tokens", "tags")}
    return Table(str(path), columns, [sentence.line for sentence in found])


def _read_parquet(path: Path) -> Table:
    """Read a parquet file, with the class names that `datasets` writes into it."""
    import pyarrow
    from datasets import Dataset
    from pyarrow.parquet import ParquetFile

    try:
        dataset = Dataset(ParquetFile(path).read())
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path} can not be decoded as parquet ({error}): write the file again") from error
    return dataset_table(dataset, str(path))


def dataset_table(dataset: Any, source: str) -> Table:
    """Turn a data set of the `datasets` library into a table.

    Args:
        dataset: The data set.
        source: Its name for messages.

    Returns:
        The table, with the class names of its columns of ClassLabels, or of lists of them.
    """
    kinds = {column: getattr(feature, "feature", feature) for column, feature in dataset.features.items()}
    names = {
        column: tuple(kind.names)
        for column, kind in kinds.items()
        if hasattr(kind, "names") and hasattr(kind, "str2int")
    }
    columns = {column: dataset[column][:] for column in dataset.column_names}
    return Table(source, columns, list(range(1, len(dataset) + 1)), "row", names)
