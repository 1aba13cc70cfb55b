"""A league as a picture: points lost against measured speed-up, and the methods that no other one beats in both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.pictures import svg
from leanformer.report.pictures.labels import corners, ratio_ticks

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


@dataclass(frozen=True)
class _Plane:
    """Where rows lie.

    Attributes:
        batch: Texts a batch.
        x: From speed-ups to pixels.
        y: From points lost to pixels, downwards.
        edge: Points above which a row is held at the lower edge, if any is.
        bottom: Pixel of the lower edge.
        width: Pixels of the whole picture.
    """

    batch: int
    x: svg.Scale
    y: svg.Scale
    edge: float | None
    bottom: float
    width: float

    @property
    def is_narrow(self) -> bool:
        return self.width <= svg.NARROW

    def speed(self, row: Row) -> Row:
        speed: Row = row["speeds"][str(self.batch)]["fp32"]
        return speed

    def place(self, row: Row) -> tuple[float, float]:
        lost = row["drop_points"]
        is_held = self.edge is not None and lost > self.edge
        return self.x(self.speed(row)["ratio"]), self.bottom - 10 if is_held else self.y(lost)


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
    front = sorted(plane.place(row) for row in (dense, *rows) if batch in row["front"])
    parts = _frame(league, plane)
    if len(front) > 1:
        parts.append(svg.path(front, "front"))
    x, y = plane.place(dense)
    parts.append(svg.marker("square", x, y, 5.0, "bar-dense", "the original"))
    for row in rows:
        parts += _mark(row, plane)
    parts += _labels(league, plane)
    title = f"{len(rows)} methods at batch {batch}: speed-up and points of score lost"
    return svg.picture(width, plane.bottom + 44, title, parts, "marks")


def _plane(league: dict[str, Any], batch: int, width: float) -> _Plane:
    rows = league["rows"]
    speeds = [row["speeds"][str(batch)]["fp32"] for row in rows]
    losses = [row["drop_points"] for row in rows]
    bottom = 300.0 if width <= svg.NARROW else 420.0
    edge: float | None = max(LEAST_EDGE_POINTS, 2.5 * median(losses))
    edge = edge if edge is not None and max(losses) > 1.5 * edge else None
    gain, loss = min([0.0, *losses]), edge or max([0.5, *losses])
    return _Plane(
        batch=batch,
        x=svg.Scale(
            max(min([1.0, *(speed["low"] for speed in speeds)]), 0.01) / 1.06,
            max([1.25, *(speed["high"] for speed in speeds)]) * 1.08,
            38.0,
            width - 8,
            is_log=True,
        ),
        y=svg.Scale(gain - 0.1 * (loss - gain), loss, 34.0, bottom - (24 if edge else 12)),
        edge=edge,
        bottom=bottom,
        width=width,
    )


def _frame(league: dict[str, Any], plane: _Plane) -> list[Markup]:
    n, x, y = numbers.count(league["n"]), plane.x, plane.y
    up = f"Points lost on {n} rows"
    up += f"; above {plane.edge:g} at the {'edge' if plane.is_narrow else 'lower edge'}" if plane.edge else ""
    across = "times as fast" if plane.is_narrow else "times as fast as the original, each in its best runtime"
    words = f"{across}, fp32, batch {plane.batch} (log scale)"
    parts = [
        svg.text(0, 12, up, "axis"),
        svg.text(plane.width, plane.bottom + 38, words, "axis", "end"),
    ]
    for tick in y.ticks(5 if plane.is_narrow else 7):
        parts += [
            svg.line(x.start, y(tick), plane.width, y(tick)),
            svg.text(32, y(tick) + 4, f"{tick:g}".replace("-", "−"), anchor="end"),
        ]
    if plane.edge is not None:
        parts += [
            svg.line(x.start, plane.bottom, plane.width, plane.bottom, "divider"),
            svg.text(32, plane.bottom - 6, f">{plane.edge:g}", anchor="end"),
        ]
    for ratio in ratio_ticks(x):
        parts += [
            svg.line(x(ratio), y.start - 8, x(ratio), plane.bottom),
            svg.text(x(ratio), plane.bottom + 18, f"{ratio:g}×", anchor="middle"),
        ]
    return parts


def _mark(row: Row, plane: _Plane) -> list[Markup]:
    (x, y), speed = plane.place(row), plane.speed(row)
    class_ = (
        "beaten" if row["beaten_by"] is not None else "in-front" if plane.batch in row["front"] else "behind"
    )
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


def _labels(league: dict[str, Any], plane: _Plane) -> list[Markup]:
    """Name every mark where the fewest marks and other names are covered."""
    spots = [plane.place(row) for row in (league["dense"], *league["rows"])]
    taken: list[tuple[float, float, float]] = []
    parts: list[Markup] = []
    area = (plane.x.start, plane.y.start - 8, plane.width, plane.bottom)
    for number, row in enumerate(league["rows"], start=1):
        (x, y), words = plane.place(row), str(number) if plane.is_narrow else row["method"]
        wide = len(words) * 6.2 + 4

        def covered(corner: tuple[float, float], wide: float = wide) -> int:
            left, top = corner
            over = sum(left - 7 < x < left + wide + 7 and top - 6 < y < top + HIGH + 6 for x, y in spots)
            return over + 2 * sum(
                left < start + length and start < left + wide and abs(top - other) < HIGH
                for start, other, length in taken
            )

        left, top = min(corners(x, y, wide, HIGH, area), key=covered)
        taken.append((left, top, wide))
        parts += _label(words, (left, top, wide), (x, y))
    return parts


def _label(words: str, box: tuple[float, float, float], spot: tuple[float, float]) -> list[Markup]:
    """Write a name, with a line to its mark where it is too far away to be seen as its own."""
    (left, top, wide), (x, y) = box, spot
    edge = top + HIGH if top + HIGH < y else top
    parts = [svg.text(left + wide / 2, top + 11, words, "halo", "middle")]
    if abs(edge - y) > 24:
        start = y + math.copysign(8, edge - y)
        parts.insert(0, svg.line(x, start, min(max(x, left), left + wide), edge, "leader"))
    return parts
