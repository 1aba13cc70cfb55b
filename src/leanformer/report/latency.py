"""Latency tables for people: a table in the terminal, and one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer import __version__
from leanformer.errors import LatencyError
from leanformer.report import numbers
from leanformer.report.pages import assets, fill, write_whole
from leanformer.report.pictures.latency import (
    Row,
    steps_picture,
    sublayer_picture,
    variant_legend,
    variant_name,
)

if TYPE_CHECKING:
    from rich.console import Group

Described = dict[str, Any]


def terminal_tables(tables: Sequence[Described]) -> Group:
    """Return what the terminal shows of latency tables.

    Args:
        tables: Described tables, as `leanformer.measure.latency.describe` makes them.

    Returns:
        One table each: the cost of full and of half attention and FFN.
    """
    from rich.console import Group

    return Group(*(_terminal_table(table) for table in tables))


def _terminal_table(table: Described) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    subject = table["subject"]
    heads, width = subject["heads"], subject["width"]
    shown = Table(title=Text(f"{headline(subject)}, in milliseconds"), box=SIMPLE_HEAD, show_edge=False)
    shown.add_column("runtime", no_wrap=True)
    names = ("batch", "tokens", "threads", f"{subject['layers']} layers", "beside both")
    sizes = (f"{heads} heads", f"{heads // 2}", f"{width} neurons", f"{width // 2}", "multiples of")
    for name in (*names, *sizes):
        shown.add_column(name, justify="right")
    for row in table["rows"]:
        times = (
            row["dense_ms"],
            row["rest_ms"],
            *_full_and_half(row["attention"], heads),
            *_full_and_half(row["ffn"], width),
        )
        counts = (str(row[name]) for name in ("batch", "tokens", "threads"))
        shown.add_row(
            variant_name(row),
            *counts,
            *(numbers.three_digits(ms) for ms in times),
            str(row["preferred_multiple"]),
        )
    if words := unfinished_words(table):
        shown.caption = words
    return shown


def _full_and_half(curve: list[list[float]], full: int) -> tuple[float, float]:
    """Return the ms of the full size, and of the measured size that is closest to its half."""
    half = min(curve, key=lambda point: abs(point[0] - full // 2))
    return curve[-1][1], half[1]


def headline(subject: Row) -> str:
    """Name what a table is of."""
    return (
        f"{subject['cpu']}: {subject['family']}, hidden size {subject['hidden_size']}, {subject['heads']} heads of "
        f"{subject['head_size']}, {numbers.count(subject['width'])} neurons"
    )


def unfinished_words(table: Described) -> str:
    """Say how many settings are not measured far enough to be shown; nothing where all are."""
    count = len(table["unfinished"])
    return f"{count} more settings are not measured far enough: run the same measure again" if count else ""


def write_latency_page(path: Path, tables: Sequence[Described]) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: The file.
        tables: Described tables.

    Returns:
        The file.

    Raises:
        LatencyError: If its folder does not exist.
    """
    if not path.parent.is_dir():
        raise LatencyError(f"there is no folder {path.parent}: make it, or name another place")
    return write_whole(path, latency_page(tables))


def latency_page(tables: Sequence[Described]) -> str:
    """Return the page of latency tables.

    Args:
        tables: Described tables.

    Returns:
        HTML that loads nothing from outside itself.
    """
    return fill(
        "latency.html.j2",
        style=assets("report.css", "latency.css"),
        tables=[_view(table) for table in tables],
        version=__version__,
    )


def _view(table: Described) -> dict[str, Any]:
    """Prepare one table for the template: a panel for each batch size, length and number of threads."""

    def setting(row: Row) -> tuple[int, int, int]:
        return row["threads"], row["batch"], row["tokens"]

    session: dict[str, Any] = (
        table["sessions"][-1] if table["sessions"] else {"machine": {}, "created": "never"}
    )
    machine, layers = session["machine"], table["subject"]["layers"]
    flags = ", ".join(machine.get("flags") or ["no known flag"])
    return {
        "headline": headline(table["subject"]),
        "words": f"{machine.get('cores', '?')} cores, {flags}; {numbers.count(table['probes'])} times of probes of "
        f"{layers} layers; last measured {session.get('created', 'at an unknown time')}",
        "unfinished": unfinished_words(table),
        "panels": [
            _panel(*key, rows=list(rows))
            for key, rows in groupby(sorted(table["rows"], key=setting), key=setting)
        ],
    }


def _panel(threads: int, batch: int, tokens: int, rows: list[Row]) -> dict[str, Any]:
    stepped = [row for row in rows if row["steps"]]
    return {
        "name": f"batch {batch}, {tokens} tokens, {threads} thread{'s' if threads > 1 else ''}",
        "legend": variant_legend(rows),
        "attention": sublayer_picture(rows, "attention"),
        "ffn": sublayer_picture(rows, "ffn"),
        "steps": steps_picture(stepped) if stepped else None,
        "rows": [
            {
                "name": variant_name(row),
                "dense": numbers.three_digits(row["dense_ms"]),
                "rest": numbers.three_digits(row["rest_ms"]),
                "attention": numbers.three_digits(row["attention"][-1][1]),
                "ffn": numbers.three_digits(row["ffn"][-1][1]),
                "multiple": row["preferred_multiple"],
            }
            for row in rows
        ],
    }
