"""The ladder of `--method auto` as a picture: every step by its speed-up and the points it loses."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.ladder_words import (
    asked_speedup,
    chosen_rung,
    chosen_step,
    points_words,
    rung_name,
    step_words,
)
from leanformer.report.pictures import svg
from leanformer.report.runtimes import variant

RUNGS = {
    "exact": ("circle", "rung-exact"),
    "fewer bits": ("square", "rung-fewer-bits"),
    "trained for int8": ("diamond", "rung-trained"),
    "repair": ("triangle", "rung-repair"),
    "ae-bert": ("circle", "rung-ae-bert"),
    "layers": ("square", "rung-layers"),
}
_OTHER = ("diamond", "rung-other")
_ROUND_RATIOS = (1.0, 2.0, 4.0, 0.5, 8.0, 16.0, 3.0, 6.0, 1.5, 12.0, 0.25, 0.75, 24.0, 32.0, 64.0, 5.0, 10.0)
_LETTER = 6.3  # pixels, about, of one letter of a label
Box = tuple[float, float, float, float]


def ladder_picture(ladder: dict[str, Any]) -> Markup:
    """Draw the climb in both widths, with its legend.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        The picture.
    """
    wide, narrow = (steps_by_speed(ladder, width) for width in (svg.WIDE, svg.NARROW))
    names = dict.fromkeys(rung["name"] for rung in ladder["rungs"] if rung["steps"])
    entries = [(*RUNGS.get(name, _OTHER), name) for name in names]
    entries += [("circle", "chosen-ring", "the chosen one")]
    return svg.both_widths(wide, narrow) + svg.legend(entries)


def floor_points(ladder: dict[str, Any]) -> float:
    """Return the loss at which the picture ends: larger ones are held there, so that small ones stay apart.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        Points; a little more than the largest loss where no step is held.
    """
    limit = ladder["max_drop_points"]
    largest = max(step["drop_points"] for rung in ladder["rungs"] for step in rung["steps"])
    room = max(4.0 * limit, 4.0)
    return room if largest > 1.5 * room else max(largest, 1.25 * limit, 0.5)


def steps_by_speed(ladder: dict[str, Any], width: float) -> Markup:
    """Draw one mark a step: x is the speed-up, y the points lost, with no loss on top.

    Args:
        ladder: The `ladder` of result.json.
        width: Width of the picture in pixels.

    Returns:
        One SVG.
    """
    is_narrow = width <= svg.NARROW
    x, y = _scales(ladder, width, 330.0 if is_narrow else 400.0)
    steps = [(rung, step) for rung in ladder["rungs"] for step in rung["steps"]]
    steps.sort(key=lambda one: one[1] is chosen_step(ladder))  # the chosen one is drawn over the others
    front = sorted((ladder["rungs"][i]["steps"][j] for i, j in ladder["pareto"]), key=lambda one: one["ratio"])
    parts = _frame(ladder, x, y, width) + _limits(ladder, x, y, width)
    if len(front) > 1:
        parts.append(svg.path([(x(step["ratio"]), y(step["drop_points"])) for step in front], "front"))
    for rung, step in steps:
        parts += _mark(ladder, rung, step, x, y, 3.6 if is_narrow else 5.0)
    spots = [(x(step["ratio"]), y(step["drop_points"])) for _, step in steps]
    parts += _label(ladder, spots, width, y.start)
    title = f"{len(steps)} steps of {len(ladder['rungs'])} rungs: speed-up and points of score lost"
    return svg.picture(width, y.start + 44, title, parts, "marks")


def _scales(ladder: dict[str, Any], width: float, height: float) -> tuple[svg.Scale, svg.Scale]:
    steps = [step for rung in ladder["rungs"] for step in rung["steps"]]
    asked = asked_speedup(ladder) or 1.0
    slowest = min(1.0, *(step["ratio_low"] for step in steps))
    fastest = max(1.25, asked, *(step["ratio_high"] for step in steps))
    x = svg.Scale(max(slowest, 0.01) / 1.08, fastest * 1.1, 40.0, width - 8, is_log=True)
    gain = min(0.0, *(step["drop_points"] for step in steps))
    floor = floor_points(ladder)
    return x, svg.Scale(floor + 0.04 * (floor - gain), gain - 0.08 * (floor - gain), height - 44, 34.0)


def _frame(ladder: dict[str, Any], x: svg.Scale, y: svg.Scale, width: float) -> list[Markup]:
    is_narrow = width <= svg.NARROW
    rows = f"{numbers.count(ladder['n'])} {'held-out rows' if is_narrow else 'rows held out of the training data'}"
    across = "times as fast (log scale)" if is_narrow else "times as fast as the original in PyTorch fp32 (log scale)"
    parts = [
        svg.text(0, 12, f"points lost on {rows}", "axis"),
        svg.text(width, y.start + 40, f"{across}, batch {ladder['batch']}", "axis", "end"),
    ]
    for tick in svg.Scale(y.end_value, y.start_value, 0, 1).ticks(5 if is_narrow else 7):
        parts += [svg.line(x.start, y(tick), width, y(tick)), svg.text(34, y(tick) + 4, f"{tick:g}", anchor="end")]
    return parts
