"""A table as plain rows, one a setting, for the terminal, the page and scripts."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from leanformer.measure.latency.costs import SublayerCosts, costs_of, is_complete
from leanformer.measure.latency.table import Point, Setting, Shape, Table

Row = dict[str, Any]


def describe(table: Table) -> dict[str, Any]:
    """Return what a table says.

    Args:
        table: The table.

    Returns:
        JSON-ready: `subject`; `sessions`; `probes`, how many there are; `unfinished`, the settings whose parts can
        not be told apart yet; and `rows`, one a setting, with `dense_ms` (a dense model of `subject.layers` layers),
        `rest_ms` (of as many), `attention` and `ffn` (lists of size, ms, low, high: one layer's, with the 95%
        interval), `steps` (multiple, ratio to the line through the eighths) and `preferred_multiple`.
    """
    complete = [setting for setting in table.settings() if is_complete(table, setting)]
    return {
        "subject": asdict(table.subject),
        "sessions": list(table.sessions),
        "probes": len(table.points),
        "unfinished": [asdict(one) for one in table.settings() if one not in complete],
        "rows": [_row(table, setting) for setting in complete],
    }


def _row(table: Table, setting: Setting) -> Row:
    costs, subject = costs_of(table, setting), table.subject
    return {
        **asdict(setting),
        "dense_ms": costs.predict_ms([(subject.heads, subject.width)] * subject.layers),
        "rest_ms": costs.rest_ms(subject.layers),
        "attention": _curve(table, costs, "head"),
        "ffn": _curve(table, costs, "neuron"),
        "steps": [list(step) for step in costs.step_costs],
        "preferred_multiple": costs.preferred_multiple,
    }


def _curve(table: Table, costs: SublayerCosts, kind: str) -> list[list[float]]:
    """Return size, ms and the ends of its interval, which is that of the probe's ratio to the dense probe."""
    points, dense = table.of(costs.setting), table.dense
    dense_ms = median(point.reference_ms for point in points.values())
    knots = costs.attention if kind == "head" else costs.ffn
    curve = []
    for size, ms in knots:
        shape = (
            Shape(size, dense.width, dense.layers)
            if kind == "head"
            else Shape(dense.heads, size, dense.layers)
        )
        below, above = _ends(points.get(shape))
        scale = dense_ms / dense.layers if size else 0.0  # no unit costs nothing, by definition
        curve.append([size, ms, ms - below * scale, ms + above * scale])
    return curve


def _ends(point: Point | None) -> tuple[float, float]:
    """Return how far the interval of a ratio reaches below and above it; the dense probe's is 1 by definition."""
    return (0.0, 0.0) if point is None else (point.ratio - point.ratio_low, point.ratio_high - point.ratio)
