"""A league as a picture: points lost against measured speed-up, and the methods that no other one beats in both."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.pictures import svg
from leanformer.report.pictures.labels import corners
from leanformer.report.pictures.plane import Plane

Row = dict[str, Any]
LEAST_EDGE_POINTS = 4.0
HIGH = 13.0  # of a label


def league_picture(league: dict[str, Any], batch: int) -> Markup:
    """Draw the methods at one batch size in both widths, with a legend.

    Args:
        league: The content of league.json.
        batch: One of its batch sizes.

    Returns:
        The picture; the narrow one has the table's numbers where the wide one has names.
    """
    wide, narrow = (methods_by_speed(league, batch, width) for width in (svg.WIDE, svg.NARROW))
    entries = [
        ("circle", "in-front", "nothing else loses less and is as fast (the Pareto front)"),
        ("circle", "behind", "another one does"),
        ("square", "bar-dense", "original"),
    ]
    if any(row["beaten_by"] for row in league["rows"]):
        entries.insert(2, ("circle", "beaten", "worse in both than a simpler method"))
    return svg.both_widths(wide, narrow) + svg.legend(entries)


def methods_by_speed(league: dict[str, Any], batch: int, width: float) -> Markup:
    """Draw one mark a method: x is the speed-up, y the points lost, with no loss on top.

    Args:
        league: The content of league.json.
        batch: One of its batch sizes.
        width: Width of the picture in pixels.

    Returns:
        One SVG.
    """
    plane = _plane(league, batch, width)
    dense, rows = league["dense"], league["rows"]
    front = sorted(_place(plane, row, batch) for row in (dense, *rows) if batch in row["front"])
    parts = _frame(league, plane, batch)
    if len(front) > 1:
        parts.append(svg.path(front, "front"))
    x, y = _place(plane, dense, batch)
    parts.append(svg.marker("square", x, y, 5.0, "bar-dense", "the original"))
    for row in rows:
        parts += _mark(row, plane, batch)
    parts += _labels(league, plane, batch)
    title = f"{len(rows)} methods at batch {batch}: speed-up and points of score lost"
    return svg.picture(width, plane.bottom + 44, title, parts, "marks")


def _plane(league: dict[str, Any], batch: int, width: float) -> Plane:
    rows = league["rows"]
    ratios = [_speed(row, batch)[end] for row in rows for end in ("low", "high")]
    losses = [row["drop_points"] for row in rows]
    edge = max(LEAST_EDGE_POINTS, 2.5 * median(losses))
    bottom = 300.0 if width <= svg.NARROW else 420.0
    return Plane.around(ratios, losses, edge if max(losses) > 1.5 * edge else None, bottom, width)


def _speed(row: Row, batch: int) -> Row:
    speed: Row = row["speeds"][str(batch)]["fp32"]
    return speed


def _place(plane: Plane, row: Row, batch: int) -> tuple[float, float]:
    return plane.point(_speed(row, batch)["ratio"], row["drop_points"])


def _frame(league: dict[str, Any], plane: Plane, batch: int) -> list[Markup]:
    across = "times as fast" if plane.is_narrow else "times as fast as the original, each in its best runtime"
    return plane.frame(f"{numbers.count(league['n'])} rows", f"{across}, fp32, batch {batch}")


def _mark(row: Row, plane: Plane, batch: int) -> list[Markup]:
    (x, y), speed = _place(plane, row, batch), _speed(row, batch)
    class_ = "beaten" if row["beaten_by"] is not None else "in-front" if batch in row["front"] else "behind"
    tip = (
        f"{row['method']}: {numbers.signed(row['drop_points'])} points lost "
        f"({numbers.drop_interval((row['drop_low'], row['drop_high']))}), {numbers.times_exact(speed['ratio'])} "
        f"times as fast ({numbers.times_interval(speed['low'], speed['high'])}) in "
        f"{numbers.runtime_name(speed['runtime'])}"
    )
    radius = 3.8 if plane.is_narrow else 5.0
    return [
        svg.line(plane.x(speed["low"]), y, plane.x(speed["high"]), y, f"reach {class_}"),
        svg.marker("circle", x, y, radius, class_, tip),
    ]


def _labels(league: dict[str, Any], plane: Plane, batch: int) -> list[Markup]:
    """Name every mark where the fewest marks and other names are covered."""
    spots = [_place(plane, row, batch) for row in (league["dense"], *league["rows"])]
    taken: list[tuple[float, float, float]] = []
    parts: list[Markup] = []
    area = (plane.x.start, plane.y.start - 8, plane.width, plane.bottom)
    for number, row in enumerate(league["rows"], start=1):
        (x, y), words = _place(plane, row, batch), str(number) if plane.is_narrow else row["method"]
        wide = len(words) * 6.2 + 4

        def covered(
            corner: tuple[float, float], wide: float = wide, own: tuple[float, float] = (x, y)
        ) -> int:
            left, top = corner
            over = sum(left - 7 < x < left + wide + 7 and top - 6 < y < top + HIGH + 6 for x, y in spots)
            box = (left, top, wide)
            stolen = any(_away(box, other) < _away(box, own) for other in spots if other != own)
            return (
                over
                + stolen
                + 2
                * sum(
                    left < start + length and start < left + wide and abs(top - other) < HIGH
                    for start, other, length in taken
                )
            )

        left, top = min(corners(x, y, wide, HIGH, area), key=covered)
        taken.append((left, top, wide))
        parts += _label(words, (left, top, wide), (x, y))
    return parts


def _away(box: tuple[float, float, float], spot: tuple[float, float]) -> float:
    """How far a mark is from a name's box: a name has to be nearest to its own."""
    (left, top, wide), (x, y) = box, spot
    return math.hypot(max(left - x, 0.0, x - left - wide), max(top - y, 0.0, y - top - HIGH))


def _label(words: str, box: tuple[float, float, float], spot: tuple[float, float]) -> list[Markup]:
    """Write a name, with a line to its mark where it is too far away to be seen as its own."""
    (left, top, wide), (x, y) = box, spot
    edge = top + HIGH if top + HIGH < y else top
    parts = [svg.text(left + wide / 2, top + 11, words, "halo", "middle")]
    if abs(edge - y) > 24:
        start = y + math.copysign(8, edge - y)
        parts.insert(0, svg.line(x, start, min(max(x, left), left + wide), edge, "leader"))
    return parts
