"""The ladder of `--method auto` as a picture: every step by its speed-up and the points it loses."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.ladder_words import (
    Rung,
    Step,
    asked_speedup,
    chosen_rung,
    chosen_step,
    rung_name,
    step_words,
)
from leanformer.report.pictures import svg
from leanformer.report.pictures.labels import corners
from leanformer.report.pictures.plane import Plane
from leanformer.report.runtimes import variant

RUNGS = {
    "exact": ("circle", "rung-exact"),
    "fewer bits": ("square", "rung-fewer-bits"),
    "trained for int8": ("diamond", "rung-trained"),
    "repair": ("triangle", "rung-repair"),
    "ae-bert": ("circle", "rung-ae-bert"),
    "trained longer": ("diamond", "rung-longer"),
    "layers": ("square", "rung-layers"),
}
_OTHER = ("diamond", "rung-other")


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


def edge_points(ladder: dict[str, Any]) -> float | None:
    """Return the loss above which steps are held at the lower edge, so that small losses stay apart.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        Points; None where no step loses that much.
    """
    edge = max(4.0 * ladder["max_drop_points"], 4.0)
    largest = max(step["drop_points"] for rung in ladder["rungs"] for step in rung["steps"])
    return edge if largest > 1.5 * edge else None


def steps_by_speed(ladder: dict[str, Any], width: float) -> Markup:
    """Draw one mark a step: x is the speed-up, y the points lost, with no loss on top.

    Args:
        ladder: The `ladder` of result.json.
        width: Width of the picture in pixels.

    Returns:
        One SVG.
    """
    plane = _plane(ladder, width)
    steps = [(rung, step) for rung in ladder["rungs"] for step in rung["steps"]]
    steps.sort(key=lambda one: one[1] is chosen_step(ladder))  # the chosen one is drawn over the others
    front = [ladder["rungs"][i]["steps"][j] for i, j in ladder["pareto"]]
    parts = _frame(ladder, plane) + _limits(ladder, plane)
    if len(front) > 1:
        parts.append(svg.path(sorted(_place(plane, step) for step in front), "front"))
    for rung, step in steps:
        parts += _mark(ladder, rung, step, plane)
    spots = [_place(plane, step) for _, step in steps]
    spots.append((plane.x.start + 40, plane.y(ladder["max_drop_points"]) + 10))  # the limit's words
    parts += _label(ladder, spots, plane)
    title = f"{len(steps)} steps of {len(ladder['rungs'])} rungs: speed-up and points of score lost"
    return svg.picture(width, plane.bottom + 44, title, parts, "marks")


def _plane(ladder: dict[str, Any], width: float) -> Plane:
    steps = [step for rung in ladder["rungs"] for step in rung["steps"]]
    ratios = [
        asked_speedup(ladder) or 1.0,
        *(step[end] for step in steps for end in ("ratio_low", "ratio_high")),
    ]
    losses = [1.3 * ladder["max_drop_points"], *(step["drop_points"] for step in steps)]
    bottom = 290.0 if width <= svg.NARROW else 350.0
    return Plane.around(ratios, losses, edge_points(ladder), bottom, width)


def _place(plane: Plane, step: Step) -> tuple[float, float]:
    return plane.point(step["ratio"], step["drop_points"])


def _frame(ladder: dict[str, Any], plane: Plane) -> list[Markup]:
    across = "times as fast" if plane.is_narrow else "times as fast as the original in PyTorch fp32"
    rows = f"{numbers.count(ladder['n'])} held-out rows"
    return plane.frame(rows, f"{across}, batch {ladder['batch']}")


def _limits(ladder: dict[str, Any], plane: Plane) -> list[Markup]:
    """Draw what may be lost, and the speed-up that was asked for."""
    x, limit, asked = plane.x, ladder["max_drop_points"], asked_speedup(ladder)
    y = plane.y(limit)
    words = svg.text(x.start + 4, y + 14, f"at most {numbers.points_words(limit)}", "limit halo")
    parts = [svg.line(x.start, y, plane.width, y, "one"), words]
    if asked is not None:
        anchor = "end" if x(asked) > plane.width - 60 else "middle"
        parts += [
            svg.line(x(asked), 30, x(asked), plane.bottom, "one"),
            svg.text(x(asked), 26, f"{asked:g}× asked", "limit halo", anchor),
        ]
    return parts


def _mark(ladder: dict[str, Any], rung: Rung, step: Step, plane: Plane) -> list[Markup]:
    shape, class_ = RUNGS.get(rung["name"], _OTHER)
    (x, y), radius = _place(plane, step), 3.6 if plane.is_narrow else 5.0
    sound = "" if step["sound"] else " unsound"
    parts = [
        svg.line(plane.x(step["ratio_low"]), y, plane.x(step["ratio_high"]), y, f"reach {class_}{sound}"),
        svg.marker(shape, x, y, radius, f"step {class_}{sound}", step_words(ladder, rung, step)),
    ]
    if step is chosen_step(ladder):
        parts.append(svg.marker("circle", x, y, radius + 4, "chosen-ring"))
    return parts


def _label(ladder: dict[str, Any], spots: list[tuple[float, float]], plane: Plane) -> list[Markup]:
    """Name the chosen step in two lines, where the fewest other steps and limits are covered."""
    step = chosen_step(ladder)
    lines = (rung_name(chosen_rung(ladder)), f"{variant(step)}, {numbers.times_exact(step['ratio'])}×")
    wide, high = max(len(line) for line in lines) * (5.7 if plane.is_narrow else 6.2), 32.0
    x, y = _place(plane, step)
    limits = plane.x(asked_speedup(ladder) or plane.x.low), plane.y(ladder["max_drop_points"])

    def covered(corner: tuple[float, float]) -> int:
        left, top = corner
        crossed = (left < limits[0] < left + wide) + (top < limits[1] < top + high)
        return crossed + 2 * sum(
            left - 8 < x < left + wide + 8 and top - 8 < y < top + high + 8 for x, y in spots
        )

    area = (plane.x.start, plane.y.start, plane.width, plane.bottom)
    left, top = min(corners(x, y, wide, high, area), key=covered)
    parts = [
        svg.text(left + wide / 2, top + 12, lines[0], "strong halo", "middle"),
        svg.text(left + wide / 2, top + 28, lines[1], "halo", "middle"),
    ]
    edge = top + high if top + high < y else top
    if abs(edge - y) > 24:  # too far to be seen as its own
        parts.insert(
            0, svg.line(x, y + math.copysign(9, edge - y), min(max(x, left), left + wide), edge, "leader")
        )
    return parts
