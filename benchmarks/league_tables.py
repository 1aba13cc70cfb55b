"""The tables of docs/league.md: methods under one budget, as benchmarks/league.py keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markdown_tables import MISSING, RESULTS, Facts, read, source, table


def league_table(folder: str = "league") -> str:
    """One table a league, under its name."""
    paths = sorted((RESULTS / folder).glob("*.json"))
    found = [facts for path in paths if (facts := read(path)) is not None]
    return "\n\n".join(map(table_of, found)) or MISSING


def table_of(facts: Facts) -> str:
    """Return the table of one league, and what has to be said under it."""
    from leanformer.report.league_words import beaten_sentences, refused_sentences

    test, sizes = facts["dense"]["test"], facts["batches"]
    header = ["method", f"{facts['metric']}, n = {facts['n']:,}", "points lost"]
    header += [f"points lost, {test['n']:,} test rows"] if test else []
    header += ["reached", "encoder", "MACs", *(f"batch {size}" for size in sizes), "minutes", "steps"]
    rows = [dense_cells(facts), *(cells(row, facts) for row in facts["rows"])]
    said = [*beaten_sentences(facts), *(f"Refused: {sentence}" for sentence in refused_sentences(facts))]
    about = (
        f"{facts['model']} on {facts['task']['name']}",
        f"pruning ratio {facts['pruning_ratio']:g}",
        f"seeds {', '.join(map(str, facts['seeds']))}",
    )
    return "\n\n".join(["".join((table(header, rows), source(facts, *about))), *said])


def dense_cells(facts: Facts) -> list[str]:
    """Return the row of the dense model."""
    dense = facts["dense"]
    test = [f"0, of {100 * dense['test']['score']:.1f}"] if dense["test"] else []
    speeds = [f"1x = {dense['speeds'][str(size)]['fp32']['runtime']}" for size in facts["batches"]]
    encoder = f"{dense['encoder_parameters'] / 1e6:.2f} M"
    minutes = f"{dense['minutes']:.1f}"
    return ["dense", score(dense), "", *test, "", encoder, "", *speeds, minutes, ""]


def cells(row: Facts, facts: Facts) -> list[str]:
    """Return the cells of a method; beaten ones are marked."""
    return [
        f"{row['method']}{' (worse than ' + row['beaten_by'] + ')' if row['beaten_by'] else ''}",
        score(row),
        lost(row),
        *([lost(row["test"])] if facts["dense"]["test"] else []),
        f"{row['reached']:.2f}",
        f"{row['encoder_parameters'] / 1e6:.2f} M",
        f"{100 * row['macs_share']:.0f}%",
        *(speed(row["speeds"][str(size)]) for size in facts["batches"]),
        f"{row['minutes']:.1f}",
        f"{row['steps']:,.0f}",
    ]


def score(row: Facts) -> str:
    """Return a score in points with its interval."""
    return f"{100 * row['score']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def lost(row: Facts) -> str:
    """Return the points lost with their interval."""
    return f"{row['drop_points']:.1f} ({row['drop_low']:.1f} to {row['drop_high']:.1f})"


def speed(speeds: dict[str, Any]) -> str:
    """Return the speed-up in fp32 with its interval and runtime; int8 behind it."""
    fp32 = speeds["fp32"]
    words = f"{fp32['ratio']:.2f}x ({fp32['low']:.2f} to {fp32['high']:.2f}), {fp32['runtime']}"
    return words + (f"; int8 {speeds['int8']['ratio']:.2f}x" if "int8" in speeds else "")


TABLES: dict[str, Callable[[], str]] = {"league": league_table}
