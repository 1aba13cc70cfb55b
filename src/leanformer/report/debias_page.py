"""The page of a debiasing: debias.json in, one self-contained debias.html out."""

from __future__ import annotations

from typing import Any

from leanformer.report import numbers
from leanformer.report.bias import bias_rows
from leanformer.report.debias_words import MOVEMENT, headline, level_rows, notes, tests_name
from leanformer.report.pages import assets, fill
from leanformer.report.pictures.curve import curve_picture
from leanformer.report.pictures.tradeoff import tradeoff_picture

TITLES = {"bias": "Before and after", "against_control": "What the groups did"}


def debias_page(record: dict[str, Any]) -> str:
    """Return the whole page.

    Args:
        record: The content of debias.json.

    Returns:
        HTML that loads nothing from outside itself.
    """
    of_movement = record["method"] == MOVEMENT
    machine = record["machine"]
    return fill(
        "debias.html.j2",
        style=assets("report.css", "league.css"),
        script=assets("report.js"),
        record=record,
        headline=headline(record),
        notes=notes(record),
        good=record.get("within", True),
        picture=tradeoff_picture(record) if of_movement else None,
        tests=tests_name(record) if of_movement else "",
        levels=level_rows(record) if of_movement else [],
        tables=[
            (TITLES[key], record[key]["models"], bias_rows(record[key]), record[key]["unmeasured"])
            for key in TITLES
            if key in record
        ],
        curves=[(name, curve_picture(curve)) for name, curve in _curves(record) if len(curve) > 1],
        machine=[
            (key.replace("_", " "), value) for key, value in machine.items() if isinstance(value, str | int)
        ]
        + list(machine["versions"].items()),
        metric=numbers.metric_name(record.get("metric", "")),
    )


def _curves(record: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    if record["method"] == MOVEMENT:
        return [(f"Level {level['level']:g}", level["training"]["curve"]) for level in record["levels"]]
    return [(name.capitalize(), record[name]["curve"]) for name in ("student", "control") if name in record]
