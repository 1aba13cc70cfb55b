"""Latency curves: milliseconds of one layer's sub-layer by heads or neurons, a line a runtime and precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.pictures import svg

SHAPES = {"fp32": "circle", "bf16": "diamond", "int8": "square"}
UNITS = {"attention": "heads", "ffn": "neurons"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """One line of a picture.

    Attributes:
        row: The row that it is of, for its colour and marks.
        points: Place, value and read-out of each mark.
    """

    row: Row
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class Axes:
    """What a picture's axes say.

    Attributes:
        title: The alternative text.
        across: Words under the horizontal axis.
        up: Words over the vertical axis.
        ticks: Place and words of the marks of the horizontal axis.
        level: A value at which a dashed line is drawn, if any.
    """

    title: str
    across: str
    up: str
    ticks: tuple[tuple[float, str], ...]
    level: float | None = None


def sublayer_picture(rows: Sequence[Row], part: str) -> Markup:
    """Draw what a sub-layer costs by its size, in both widths.

    Args:
        rows: Rows of `describe()` of one batch size, length and number of threads.
        part: "attention" or "ffn".

    Returns:
        The picture, without its legend.
    """
    unit = UNITS[part]
    curves = [Curve(row, tuple(_mark(row, unit, *point) for point in row[part])) for row in rows]
    largest = max(size for row in rows for size, *_ in row[part])
    ticks = svg.Scale(0, largest, 0, 1).ticks(8)
    axes = Axes(
        title=f"Milliseconds of one layer's {'attention' if part == 'attention' else 'FFN'} by {unit}",
        across=f"{unit} of a layer",
        up="ms a layer",
        ticks=tuple((tick, numbers.count(tick)) for tick in ticks if tick == int(tick)),
    )
    return _both(curves, axes)


def steps_picture(rows: Sequence[Row]) -> Markup:
    """Draw what ragged widths cost against smooth ones, in both widths.

    Args:
        rows: Rows of `describe()` of one batch size, length and number of threads, with steps.

    Returns:
        The picture, without its legend.
    """
    multiples = sorted({multiple for row in rows for multiple, _ in row["steps"]})
    place = {multiple: index for index, multiple in enumerate(multiples)}
    curves = [
        Curve(
            row,
            tuple(
                (place[multiple], ratio, f"{variant_name(row)}, multiples of {multiple}: {ratio:.2f} times")
                for multiple, ratio in row["steps"]
            ),
        )
        for row in rows
    ]
    axes = Axes(
        title="What an FFN costs whose width is a multiple of a small number, against smooth widths",
        across="width is a multiple of",
        up="times the smooth width's cost",
        ticks=tuple((index, str(multiple)) for multiple, index in place.items()),
        level=1.0,
    )
    return _both(curves, axes)


def variant_name(row: Row) -> str:
    """Return the runtime and precision of a row, as people write them."""
    return f"{numbers.runtime_name(row['runtime'])} {row['precision']}"


def variant_legend(rows: Sequence[Row]) -> Markup:
    """Return the legend of the runtimes and precisions."""
    return svg.legend((_shape(row), _classes(row, "spot"), variant_name(row)) for row in rows)


def _both(curves: Sequence[Curve], axes: Axes) -> Markup:
    return svg.both_widths(lines(curves, axes, svg.WIDE), lines(curves, axes, svg.NARROW))


def lines(curves: Sequence[Curve], axes: Axes, width: float) -> Markup:
    """Draw curves over common axes.

    Args:
        curves: At least one, each with at least one point.
        axes: The words and ticks.
        width: Width of the picture in pixels.

    Returns:
        One SVG.
    """
    is_narrow = width <= svg.NARROW
    height, left = (210.0, 40.0) if is_narrow else (300.0, 52.0)
    places = [place for curve in curves for place, _, _ in curve.points]
    values = [value for curve in curves for _, value, _ in curve.points] + [axes.level or 0.0]
    x = svg.Scale(min(places), max(places), left + 8, width - 18)
    y = svg.Scale(min(0.0, *values), max(values) * 1.05 or 1.0, height - 36, 26)
    parts = [svg.text(0, 12, axes.up, "axis"), svg.text(width, height - 2, axes.across, "axis", "end")]
    for tick in y.ticks(4 if is_narrow else 6):
        parts += [
            svg.line(left, y(tick), width, y(tick)),
            svg.text(left - 6, y(tick) + 4, f"{tick:g}", anchor="end"),
        ]
    shown = axes.ticks if not is_narrow or len(axes.ticks) <= 7 else axes.ticks[::2]
    parts += [svg.text(x(place), height - 19, words, anchor="middle") for place, words in shown]
    if axes.level is not None:
        parts.append(svg.line(left, y(axes.level), width, y(axes.level), "one"))
    for curve in curves:
        pixels = [(x(place), y(value)) for place, value, _ in curve.points]
        parts.append(svg.path(pixels, _classes(curve.row, "series")))
        for (across, up), (_, _, tip) in zip(pixels, curve.points, strict=True):
            radius = 2.2 if is_narrow else 2.8
            parts.append(svg.marker(_shape(curve.row), across, up, radius, _classes(curve.row, "spot"), tip))
    return svg.picture(width, height, axes.title, parts, "marks")


def _mark(row: Row, unit: str, size: float, ms: float, low: float, high: float) -> tuple[float, float, str]:
    words = f"{variant_name(row)}, {numbers.count(size)} {unit}: {numbers.three_digits(ms)} ms"
    within = (
        f" (95% interval {numbers.three_digits(low)} to {numbers.three_digits(high)})" if high > low else ""
    )
    return size, ms, words + within


def _shape(row: Row) -> str:
    return SHAPES.get(row["precision"], "triangle")


def _classes(row: Row, kind: str) -> str:
    return f"{kind} on-{row['runtime']} in-{row['precision']}"
