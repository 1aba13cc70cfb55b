"""A debiasing on the terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leanformer.report import numbers
from leanformer.report.bias_table import bias_table
from leanformer.report.debias_words import MOVEMENT, headline, level_rows, notes, tests_name


def debias_shown(record: dict[str, Any], places: list[tuple[str, str]]) -> Group:
    """Show a debiasing: the levels, or the models side by side, and the sentences.

    Args:
        record: The content of debias.json.
        places: Names and paths of what was written.

    Returns:
        The table and its sentences.
    """
    if record["method"] == MOVEMENT:
        tables: list[RenderableType] = [levels_table(record)]
    else:
        pairs = [record[key] for key in ("bias", "against_control") if key in record]
        tables = [part for pair in pairs for part in (bias_table(pair, pair["models"]), Text())]
    lines = "\n".join(f"{name:<8}{place}" for name, place in places)
    return Group(
        *tables,
        Text(f"\n{headline(record)}"),
        *(Text(f"- {note}") for note in notes(record)),
        Text(f"\n{lines}", no_wrap=True, overflow="ignore"),
    )


def levels_table(record: dict[str, Any]) -> Table:
    """Show the trade-off, one row a level; intervals stand under the figures.

    Args:
        record: The content of debias.json.

    Returns:
        The table.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("level", no_wrap=True)
    heads = ("closed", tests_name(record), "less", "own tests", "lost, train")
    for head in (*heads, numbers.metric_name(record["metric"]), "lost"):
        table.add_column(head, justify="right")
    for row in level_rows(record):
        mark = "\nchosen" if row["chosen"] else ""
        cells = (
            f"{row['name']}{mark}",
            row["closed"],
            f"{row['effect']}\n{row['effect_interval']}",
            row["share"],
            row["own"],
            row["judged"],
            f"{row['score']}\n{row['score_interval']}",
            f"{row['lost']}\n{row['lost_interval']}",
        )
        table.add_row(*(Text(cell) for cell in cells), style="bold" if row["chosen"] else "")
    return table
