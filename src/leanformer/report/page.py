"""The page: result.json in, one self-contained report.html out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from leanformer.errors import RunError
from leanformer.report import numbers
from leanformer.report.bias import bias_view
from leanformer.report.budget import budget_views
from leanformer.report.cards import cards
from leanformer.report.flips import CHANGES, flip_views
from leanformer.report.ladder_table import rung_rows
from leanformer.report.ladder_words import asks_for_more, chosen_step, ladder_words, rung_name
from leanformer.report.loading import doors, export_doors
from leanformer.report.method import method_words
from leanformer.report.pages import assets, fill, write_whole
from leanformer.report.pictures.curve import curve_picture
from leanformer.report.pictures.exits import exits_picture, exits_words
from leanformer.report.pictures.heads import heads_picture, heads_words, ladder_of_heads
from leanformer.report.pictures.ladder import ladder_picture
from leanformer.report.pictures.layers import (
    drops_tokens,
    lacks_units,
    layers_picture,
    tokens_kept,
    units_kept,
)
from leanformer.report.pictures.search import search_picture
from leanformer.report.pictures.speed import speed_picture
from leanformer.report.runtimes import FALLEN_POINTS, lost_points, variant
from leanformer.report.search_words import measure_name, search_words
from leanformer.report.words import verdict


def write_report(run_folder: Path) -> Path:
    """Write report.html into a run folder, from its result.json alone.

    Args:
        run_folder: The run directory.

    Returns:
        The path of report.html.

    Raises:
        RunError: If result.json is missing, is not JSON, or lacks a required figure.
    """
    result = read_result(run_folder)
    try:
        page = render(result)
    except (KeyError, UndefinedError) as missing:
        name = str(missing).rpartition(" ")[2]  # both end with the name in quotes
        raise RunError(
            f"{run_folder / 'result.json'} lacks {name}: run the compression again to write it anew"
        ) from missing
    return write_whole(run_folder / "report.html", page)


def read_result(run_folder: Path) -> dict[str, Any]:
    """Read a run's result.json.

    Args:
        run_folder: The run directory.

    Returns:
        Its content.

    Raises:
        RunError: If the file is missing or is not one JSON object.
    """
    path = run_folder / "result.json"
    if not path.is_file():
        raise RunError(f"{path} does not exist: finish the run first, with leanformer compress --resume")
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not readable as JSON ({error}): run the compression again") from error
    if not isinstance(result, dict):
        raise RunError(f"{path} does not hold one JSON object: run the compression again")
    return result


def render(result: dict[str, Any]) -> str:
    """Return the whole page.

    Args:
        result: The content of result.json.

    Returns:
        HTML that loads nothing from outside itself.
    """
    return fill("report.html.j2", **_context(result))


def _context(result: dict[str, Any]) -> dict[str, Any]:
    run = numbers.place(str(result["run"])).rstrip("/")
    task, bench, flips = result["task"], result.get("bench") or [], result.get("flips") or []
    curve = (result.get("training") or {}).get("curve") or []
    return {
        "result": result,
        "style": assets("report.css"),
        "script": assets("report.js"),
        "verdict": verdict(result),
        "budget": budget_views(result),
        "cards": cards(result),
        "ladder": _ladder(result["ladder"]) if result.get("ladder") else None,
        "layers": layers_picture(result["layers"]) if result.get("layers") else None,
        "layers_words": _layers_words(result),
        "heads": _heads(result),
        "exits": _exits(result),
        "search": _search(result),
        "speed": speed_picture(bench) if bench else None,
        "bench": [(row, lost_points(row, bench)) for row in bench],
        "bias": bias_view(result["bias"]) if result.get("bias") else None,
        "exports": [
            (row, lost_points(row, [], result["compressed"]["score"])) for row in result.get("exports") or []
        ],
        "fallen_points": FALLEN_POINTS,
        "flips": flip_views(flips, task),
        "changes": CHANGES,
        "taken_over": _taken_over(result),
        "curve": curve_picture(curve) if len(curve) > 1 else None,
        "stages": _stages(result.get("stages") or []),
        "doors": doors(result, f"{run}/model") + export_doors(result, run),
        "method": method_words(result),
        "machine": _facts(result.get("machine") or {}),
    }


def _layers_words(result: dict[str, Any]) -> str:
    """Say what stays of the layers, where the picture does not say it by itself."""
    layers = result.get("layers") or []
    if drops_tokens(layers):
        return " ".join([tokens_kept(layers), *([units_kept(layers)] if lacks_units(layers) else [])])
    return units_kept(layers) if layers and result["granularity"] == "unit" else ""


def _heads(result: dict[str, Any]) -> dict[str, Any] | None:
    heads = result.get("heads")
    if not heads:
        return None
    measure = numbers.metric_name(result["metric"])
    ladder = ladder_of_heads(heads, measure) if heads.get("ladder") else None
    return {"map": heads_picture(heads), "ladder": ladder, "words": heads_words(heads)}


def _exits(result: dict[str, Any]) -> dict[str, Any] | None:
    exits = result.get("exits")
    if not exits:
        return None
    picture = exits_picture(exits, numbers.metric_name(result["metric"]))
    return {"picture": picture, "words": exits_words(exits)}


def _search(result: dict[str, Any]) -> dict[str, Any] | None:
    search = result.get("search")
    if not search or not search.get("candidates"):
        return None
    picture = search_picture(search, measure_name(result["task"]["kind"]))
    return {"picture": picture, "words": search_words(search, result["task"]["kind"])}


def _ladder(ladder: dict[str, Any]) -> dict[str, Any]:
    steps = [
        (i, j, rung, step) for i, rung in enumerate(ladder["rungs"]) for j, step in enumerate(rung["steps"])
    ]
    return {
        "words": ladder_words(ladder),
        "picture": ladder_picture(ladder),
        "rungs": rung_rows(ladder),
        "has_budget": asks_for_more(ladder),
        "steps": [
            (rung_name(rung), variant(step), step, [i, j] in ladder["pareto"], step is chosen_step(ladder))
            for i, j, rung, step in steps
        ],
    }


def _stages(stages: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
    longest = max((float(stage["seconds"]) for stage in stages), default=0.0) or 1.0
    return [
        (stage["name"], numbers.seconds(stage["seconds"]), 100 * stage["seconds"] / longest)
        for stage in stages
    ]


def _taken_over(result: dict[str, Any]) -> str:
    """Say what was not trained here; nothing where all of it was."""
    training = result.get("training") or {}
    parts = {"training": training, "policy": training.get("policy", {})}
    return " ".join(
        f"The {name} is that of {numbers.place(one['run'])}, where it took {numbers.seconds(one['seconds'])}."
        for name, facts in parts.items()
        if (one := facts.get("taken_over"))
    )


def _facts(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten the machine's facts into rows of a name and a value."""
    rows: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _facts(value, "" if key == "versions" else f"{name}: ")
        elif isinstance(value, list):
            rows.append((name, ", ".join(str(one) for one in value)))
        elif value is not None:
            rows.append((name, f"{value:g}" if isinstance(value, float) else str(value)))
    return rows
