"""Where latency tables are kept: one JSON file a subject, in the user's cache folder, written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from leanformer.errors import LatencyError
from leanformer.measure.latency.table import VERSION, Subject, Table, from_json, to_json


def cache_folder() -> Path:
    """Return the folder of the tables: `leanformer/latency` in XDG_CACHE_HOME, or in ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "leanformer" / "latency"


def table_path(subject: Subject) -> Path:
    """Name the file of a subject's table; it need not exist. Times of another version are not looked for."""
    cpu = re.sub(r"[^a-z0-9]+", "-", subject.cpu.lower()).strip("-")[:80] or "unknown"
    shape = (
        f"{subject.hidden_size}-{subject.heads}x{subject.head_size}-{subject.width}-{subject.layers}layers"
    )
    return cache_folder() / f"{cpu}_{subject.family}_{shape}.{VERSION}.json"


def read_table(subject: Subject) -> Table:
    """Return what is known of a subject: an empty table where nothing was measured yet.

    Args:
        subject: What the table is of.

    Returns:
        The table.

    Raises:
        LatencyError: If the file is no table, or one of another subject.
    """
    path = table_path(subject)
    if not path.is_file():
        return Table(subject)
    tables = read_file(path)
    if [table.subject for table in tables] != [subject]:
        raise LatencyError(f"{path} holds the latency table of something else: delete it, and measure again")
    return tables[0]


def write_table(table: Table) -> Path:
    """Write a table into the cache folder, whole or not at all.

    Args:
        table: The table.

    Returns:
        Its file.
    """
    path = table_path(table.subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, [table])
    return path


def all_tables() -> list[Table]:
    """Read every table of the cache folder.

    Returns:
        The tables, sorted by subject.

    Raises:
        LatencyError: If a file there is no table.
    """
    files = sorted(cache_folder().glob("*.json"))
    return sorted((table for path in files for table in read_file(path)), key=lambda table: table.subject)


def read_file(path: Path) -> list[Table]:
    """Read a file of tables.

    Args:
        path: The file.

    Returns:
        Its tables.

    Raises:
        LatencyError: If the file is missing, or is no latency table.
    """
    if not path.is_file():
        raise LatencyError(f"there is no file {path}: check the path")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LatencyError(
            f"{path} is no latency table, not even JSON: give a file that leanformer latency export has written"
        ) from error
    return from_json(content, str(path))


def write_file(path: Path, tables: Iterable[Table]) -> None:
    """Write tables into one file, whole or not at all.

    Args:
        path: The file; its folder exists.
        tables: What is written.

    Raises:
        LatencyError: If the folder does not exist.
    """
    if not path.parent.is_dir():
        raise LatencyError(f"there is no folder {path.parent}: make it, or name another place")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(to_json(tables), separators=(",", ":")) + "\n", encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def import_file(path: Path) -> list[Table]:
    """Take the tables of a file into the cache folder, each under the name of the processor it was measured on.

    Args:
        path: A file that `leanformer latency export` has written.

    Returns:
        The tables as they are now: what had been measured before stays, what is new is added.

    Raises:
        LatencyError: If the file, or one in the cache folder, is no latency table; nothing is taken then.
    """
    merged = [read_table(table.subject).merged(table) for table in read_file(path)]
    for table in merged:
        write_table(table)
    return merged
