"""Who is on the Pareto front of a league, and who does worse than something simpler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leanformer.league.grid import SIMPLEST
from leanformer.report.league_words import ratio_of

Row = dict[str, Any]
"""Of league.json, see `leanformer.league.standing`."""


def is_on_front(row: Row, rows: Sequence[Row], batch: int) -> bool:
    """Whether no other row loses as little and is as fast, and is better in one of both.

    Args:
        row: The row.
        rows: All rows, the dense one among them.
        batch: Texts a batch.

    Returns:
        Whether it is on the Pareto front.
    """
    here = (-row["drop_points"], ratio_of(row, batch))
    others = [(-other["drop_points"], ratio_of(other, batch)) for other in rows if other is not row]
    return not any(other[0] >= here[0] and other[1] >= here[1] and other != here for other in others)


def beaten_by(row: Row, rows: Sequence[Row]) -> str | None:
    """Name a simpler method that loses fewer points and is faster at every batch size.

    Simpler is the textbook's magnitude pruning, and whatever took less time.

    Args:
        row: The row.
        rows: The rows of all methods.

    Returns:
        The textbook's where it is one of them, else the one that took the least time; None where there is none, or
        nothing was timed.
    """
    if not row["speeds"]:
        return None
    simpler = [
        other
        for other in rows
        if other is not row and (other["method"] == SIMPLEST or other["minutes"] < row["minutes"])
    ]
    better = [other for other in simpler if _is_better(other, row)]
    better.sort(key=lambda other: (other["method"] != SIMPLEST, other["minutes"]))
    return better[0]["method"] if better else None


def _is_better(row: Row, other: Row) -> bool:
    faster = all(ratio_of(row, int(batch)) > ratio_of(other, int(batch)) for batch in row["speeds"])
    return faster and row["drop_points"] < other["drop_points"]
