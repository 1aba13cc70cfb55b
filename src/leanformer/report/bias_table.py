"""Bias on the terminal: one table a model, or two models side by side."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leanformer.report import numbers
from leanformer.report.bias import BiasRow, bias_rows, bias_sentence, detector_sentence
from leanformer.report.flow_table import findings_shown, flow_table
from leanformer.report.flow_words import flow_sentence

NAME_COLUMNS = 22


def bias_shown(record: dict[str, Any], path: str | None) -> Group:
    """Show an audit: figures, what could not be measured, and what was written.

    Args:
        record: What `leanformer.auditing.audit` returns.
        path: Where it was written.

    Returns:
        The table and its sentences.
    """
    names = [_short(name) for name in record["models"]]
    parts: list[RenderableType] = [bias_table(record, names)]
    if len(names) == 2:
        actor = "Compression" if names == ["dense", "compressed"] else f"{names[1]} against {names[0]}: it"
        parts.append(Text(f"\n{bias_sentence(record, actor)}"))
    for name, found in zip(names, record["detector"], strict=True):
        if found is not None:
            parts.append(Text(f"\nAttention of {name}: {detector_sentence(found)}"))
    for name, found in zip(names, record.get("flow") or [], strict=False):
        if found is not None:
            parts += [
                Text(f"\nFlow of {name}: {flow_sentence(found)}"),
                flow_table(found),
                findings_shown(found),
            ]
    if record["unmeasured"]:
        parts += [Text("\nnot measured"), _missing(record, len(names))]
    if path is not None:
        parts.append(Text(f"\nwritten to {path}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


def bias_table(facts: dict[str, Any], names: list[str]) -> Table:
    """Show the figures of one model or two.

    Args:
        facts: As `leanformer.audit.compare.side_by_side` returns them.
        names: The models, for the head.

    Returns:
        The table; a figure's interval stands under it.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("figure", max_width=36)
    table.add_column("ideal", justify="right", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    if len(names) == 2:
        table.add_column("difference", justify="right", no_wrap=True)
    metric = ""
    for row in bias_rows(facts):
        if row.metric != metric:
            metric = row.metric
            table.add_row(Text(metric, style="bold"))
        table.add_row(*_cells(row, len(names)))
    return table


def _cells(row: BiasRow, models: int) -> list[RenderableType]:
    note = f"\n  {row.note}" if row.note else ""
    cells: list[RenderableType] = [
        Text(f"  {row.subject}\n  n = {row.n}{note}", overflow="fold"),
        Text(row.ideal),
    ]
    for (value, within), p in zip(row.values, row.p, strict=True):
        cells.append(Text("\n".join(part for part in (value, within, p) if part)))
    if models == 2:
        mark = "\nbeyond chance" if row.beyond else ""
        cells.append(Text(f"{row.change}\n{row.change_interval}{mark}", style="red" if row.beyond else ""))
    return cells


def _missing(record: dict[str, Any], models: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(max_width=36)
    table.add_column()
    for one in record["unmeasured"]:
        of = "" if len(one["models"]) == models else f"{_short(one['models'][0])}: "
        table.add_row(Text(f"  {one['metric']}"), Text(f"{of}{one['reason']}"))
    return table


def _short(name: str) -> str:
    """Return a model's name as a head of a column."""
    place = numbers.place(name)
    return place if len(place) <= NAME_COLUMNS else f"…{place[1 - NAME_COLUMNS :]}"
