"""The trade-off of debiasing as a picture: effect size against points of score lost, level by level."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.debias_words import effect, effect_interval, measured_by, tests_name
from leanformer.report.pictures import svg

Facts = dict[str, Any]
LEAST_POINTS = 1.0
RADIUS = 5.0


def tradeoff_picture(record: Facts) -> Markup:
    """Draw the curve in both widths, with a legend.

    Args:
        record: The content of debias.json, of debias-movement.

    Returns:
        The picture.
    """
    entries = [
        ("square", "bar-dense", "original"),
        ("circle", "behind", "a level"),
        ("circle", "in-front", "the level that became the model"),
    ]
    wide, narrow = (effect_by_points(record, width) for width in (svg.WIDE, svg.NARROW))
    return svg.both_widths(wide, narrow) + svg.legend(entries)


def effect_by_points(record: Facts, width: float) -> Markup:
    """Draw one mark a level: x is points of score lost, y the mean absolute effect size, both with intervals.

    Args:
        record: The content of debias.json, of debias-movement.
        width: Width of the picture in pixels.

    Returns:
        One SVG.
    """
    key, levels = measured_by(record), record["levels"]
    narrow = width <= svg.NARROW
    bottom, left = (260.0, 40.0) if narrow else (360.0, 48.0)
    ends = [end for level in levels for end in level["score"]["drop_interval"]]
    tops = [facts[key]["high"] for facts in (record["dense"], *levels)]
    x = svg.Scale(min(0.0, *ends) - 0.1, max(LEAST_POINTS, *ends) * 1.03, left, width - 12)
    y = svg.Scale(0.0, max(tops) * 1.05, bottom, 30)
    parts = [
        svg.text(0, 12, f"mean absolute effect size, {tests_name(record)}", "axis"),
        svg.text(
            width, bottom + 36, f"points lost on {numbers.count(record['n'])} validation rows", "axis", "end"
        ),
    ]
    for tick in y.ticks(5):
        parts += [
            svg.line(left, y(tick), width, y(tick)),
            svg.text(left - 8, y(tick) + 4, f"{tick:g}", anchor="end"),
        ]
    for tick in x.ticks(4 if narrow else 8):
        words = f"{tick:g}".replace("-", "−")
        parts += [
            svg.line(x(tick), 30, x(tick), bottom),
            svg.text(x(tick), bottom + 18, words, anchor="middle"),
        ]
    limit = record["max_drop_points"]
    if x.low <= limit <= x.high:
        parts.append(svg.line(x(limit), 30, x(limit), bottom, "one"))
    spots = [(x(level["score"]["drop_points"]), y(level[key]["value"])) for level in levels]
    start = (x(0.0), y(record["dense"][key]["value"]))
    parts.append(svg.path([start, *spots], "front"))
    tip = f"original: {effect(record['dense'][key])} ({effect_interval(record['dense'][key])})"
    parts.append(svg.marker("square", *start, RADIUS, "bar-dense", tip))
    for number, (level, spot) in enumerate(zip(levels, spots, strict=True)):
        parts += _mark(level, key, spot, number == record["chosen"], (x, y))
    title = (
        f"Effect size against points lost at {len(levels)} levels: {effect(record['dense'][key])} before, "
        f"{effect(levels[record['chosen']][key])} at the chosen level"
    )
    return svg.picture(width, bottom + 42, title, parts, "marks")


def _mark(
    level: Facts, key: str, spot: tuple[float, float], chosen: bool, scales: tuple[svg.Scale, svg.Scale]
) -> list[Markup]:
    (x, y), score, class_ = scales, level["score"], "in-front" if chosen else "behind"
    low, high = score["drop_interval"]
    tip = (
        f"level {level['level']:g}: {effect(level[key])} ({effect_interval(level[key])}), "
        f"{numbers.signed(score['drop_points'], 2)} points lost ({numbers.drop_interval(score['drop_interval'])})"
    )
    return [
        svg.line(x(low), spot[1], x(high), spot[1], f"reach {class_}"),
        svg.line(spot[0], y(level[key]["low"]), spot[0], y(level[key]["high"]), f"reach {class_}"),
        svg.marker("circle", *spot, RADIUS, class_, tip),
        svg.text(spot[0] + 9, spot[1] - 8, f"{level['level']:g}", "halo"),
    ]
