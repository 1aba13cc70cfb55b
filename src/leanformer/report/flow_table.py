"""The flow of bias on the terminal: a table of positions by layer, and what was found of the paper's findings."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from leanformer.report import numbers
from leanformer.report.flow_words import finding_rows
from leanformer.report.pictures.flow import IN_LAYER

Facts = dict[str, Any]


def flow_table(flow: Facts) -> Table:
    """Show bias beyond noise at every position, one row a layer.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        The table; what is within chance of none is dim.
    """
    by_place = {(one["layer"], one["name"]): one["beyond"] for one in flow["places"]}
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("layer", justify="right")
    for name in IN_LAYER:
        table.add_column(
            name.replace("attention output", "output").replace("FFN output", "FFN"), justify="right"
        )
    table.add_row("embeddings", *[""] * (len(IN_LAYER) - 1), _cell(by_place.get((-1, "embedding"))))
    for layer in sorted({layer for layer, _ in by_place if layer >= 0}):
        table.add_row(str(layer), *(_cell(by_place.get((layer, name))) for name in IN_LAYER))
    return table


def findings_shown(flow: Facts) -> Table:
    """Show the paper's findings, found or not, with the figures that decide.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        The table.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for row in finding_rows(flow):
        words = Text(f"{row.claim}")
        for figure in row.figures:
            words.append(f"\n{figure}", style="dim")
        table.add_row(Text(f"  {row.verdict}", style="bold"), words)
    return table


def _cell(one: Facts | None) -> Text:
    if one is None:
        return Text("")
    return Text(numbers.signed(one["value"], 3), style="dim" if one["low"] <= 0.0 <= one["high"] else "")
