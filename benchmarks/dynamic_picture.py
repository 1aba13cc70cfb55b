"""The picture of docs/dynamic.md: the curve of every method that drops tokens, lets texts leave, or drops layers.

A curve joins the leagues of several ratios: those that benchmarks/league.py keeps with --into dynamic, and the rows
of these methods in the leagues of all. A panel is a model, a task and a batch size; x is the speed-up over the dense
model, each in its best fp32 runtime, y the points lost.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.pictures import svg
from leanformer.report.pictures.files import file_of
from leanformer.report.pictures.plane import Plane
from markdown_tables import RESULTS, ROOT, Facts, read

PATH = ROOT / "docs" / "dynamic-curves.svg"
GAP, HEIGHT, EDGE_POINTS = 40.0, 330.0, 12.0
LOOKS = {
    "drop-layers": ("square", "rung-other", "dense"),
    "power-bert": ("circle", "rung-ae-bert", "accent"),
    "length-adaptive": ("circle", "rung-layers", "olive"),
    "tr-bert": ("circle", "rung-repair", "uniform"),
    "fastbert": ("diamond", "rung-exact", "swap"),
    "patience": ("diamond", "rung-fewer-bits", "global"),
    "learned-exit": ("diamond", "rung-trained", "reconstruction"),
}
WORDS = {"square": "layers", "circle": "tokens", "diamond": "exits"}


def leagues() -> list[Facts]:
    """Return what was measured of these methods, by model, task and ratio."""
    paths = [path for folder in ("dynamic", "league") for path in (RESULTS / folder).glob("*.json")]
    found = [of_these(facts) for path in paths if (facts := read(path)) is not None]
    return sorted(
        (facts for facts in found if facts["rows"] and facts["batches"]),  # of scores alone there is no curve
        key=lambda facts: (*named(facts), facts["pruning_ratio"]),
    )


def of_these(facts: Facts) -> Facts:
    """Return a league with the rows of these methods alone."""
    return {**facts, "rows": [row for row in facts["rows"] if row["method"] in LOOKS]}


def named(facts: Facts) -> tuple[str, str]:
    """Return model and task of a league."""
    return facts["model"], facts["task"]["name"]


def picture(found: list[Facts]) -> str:
    """Return the picture of all leagues as a file."""
    parts, top = [], 0.0
    models = {facts["model"] for facts in found}
    for (model, task), ones in groupby(found, key=named):
        of_task = list(ones)
        width = (svg.WIDE - GAP * (len(of_task[0]["batches"]) - 1)) / len(of_task[0]["batches"])
        for number, batch in enumerate(of_task[0]["batches"]):
            place = f"translate({number * (width + GAP):g} {top:g})"
            parts.append(
                svg.element(
                    "g",
                    *panel(task if len(models) == 1 else f"{model}, {task}", of_task, batch, width),
                    transform=place,
                )
            )
        top += HEIGHT + 70
    drawn = {row["method"] for facts in found for row in facts["rows"]}
    legend = [
        (shape, class_, f"{name}: {WORDS[shape]}")
        for name, (shape, class_, _) in LOOKS.items()
        if name in drawn
    ]
    return file_of(parts, "Points lost against speed-up, one curve a method", top, legend)


def panel(about: str, found: list[Facts], batch: int, width: float) -> list[Markup]:
    """Draw one model and task at one batch size."""
    rows = [row for facts in found for row in facts["rows"]]
    ratios = [row["speeds"][str(batch)]["fp32"]["ratio"] for row in rows]
    losses = [row["drop_points"] for row in rows]
    edge = EDGE_POINTS if max(losses) > EDGE_POINTS else None
    plane = Plane.around(ratios, [min(loss, EDGE_POINTS) for loss in losses], edge, HEIGHT, width)
    parts = plane.frame(
        f"{numbers.count(found[0]['n'])} rows of {about}, batch {batch}", "times as fast as the dense model"
    )
    parts.append(svg.marker("square", *plane.point(1.0, 0.0), 3.5, "bar-dense", "the dense model"))
    for name in LOOKS:
        parts += curve(name, found, batch, plane)
    return parts


def curve(name: str, found: list[Facts], batch: int, plane: Plane) -> list[Markup]:
    """Draw one method, from the dense model on, one mark a ratio."""
    ones = [(facts, row) for facts in found for row in facts["rows"] if row["method"] == name]
    if not ones:
        return []
    shape, class_, colour = LOOKS[name]
    spots = [plane.point(row["speeds"][str(batch)]["fp32"]["ratio"], row["drop_points"]) for _, row in ones]
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in [plane.point(1.0, 0.0), *spots])
    style = f"fill: none; stroke: var(--{colour}); stroke-width: 1.6; opacity: .6"
    parts = [svg.element("path", d=f"M{steps}", style=style)]
    for (facts, row), spot in zip(ones, spots, strict=True):
        speed = row["speeds"][str(batch)]["fp32"]
        tip = (
            f"{name} at {facts['pruning_ratio']:g}: {numbers.signed(row['drop_points'])} points lost "
            f"({numbers.drop_interval((row['drop_low'], row['drop_high']))}), "
            f"{numbers.times_exact(speed['ratio'])} times as fast"
        )
        parts.append(svg.marker(shape, *spot, 4.2, class_, tip))
    return parts


def pictures() -> dict[Path, str]:
    """Return the picture, by where it belongs, once anything is measured."""
    found = leagues()
    return {PATH: picture(found)} if found else {}
