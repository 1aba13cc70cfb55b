"""The search as a picture: every candidate, rung by rung, until one is chosen."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from markupsafe import Markup

from leanformer.report.numbers import percent
from leanformer.report.pictures import svg

ORIGINS = {
    "uniform": ("square", "seed-uniform", "uniform allocation (seed)"),
    "global": ("diamond", "seed-global", "global magnitude (seed)"),
    "reconstruction": ("triangle", "seed-reconstruction", "least reconstruction error (seed)"),
    "falling": ("diamond", "seed-global", "falling by equal steps (seed)"),
    "policy": ("diamond", "seed-global", "what the policy kept (seed)"),
    "later": ("triangle", "seed-reconstruction", "more at the second place (seed)"),
    "random": ("circle", "origin-random", "random under the constraint"),
    "swap": ("circle", "origin-swap", "swapped from a better one"),
    "blend": ("triangle", "origin-swap", "blended from two better ones"),
}
RECONSTRUCTION = "reconstruction"
MARGIN = 44.0
SEEDS = ("uniform", "global", "reconstruction", "falling", "policy")
"""Allocations that the chosen one is compared with in words."""
_OTHER = ("circle", "origin-random", "other")
Places = dict[tuple[str, str], tuple[float, float]]


def search_picture(search: dict[str, Any], measure: str) -> Markup:
    """Draw the search in both widths, with its legend.

    Args:
        search: The `search` of result.json.
        measure: What the scores are, e.g. "KL to the original".

    Returns:
        The picture.
    """
    wide, narrow = (candidates_by_rung(search, width, measure) for width in (svg.WIDE, svg.NARROW))
    present = {candidate["origin"] for candidate in search["candidates"]}
    entries = [entry for origin, entry in ORIGINS.items() if origin in present]
    entries.append(("circle", "chosen-ring", "the chosen one"))
    return svg.both_widths(wide, narrow) + svg.legend(entries)


def score_at(candidate: dict[str, Any], rung: str) -> float | None:
    """Return a candidate's score at a rung, None when it did not climb there."""
    value = candidate["scores"].get(rung)
    return float(value) if value is not None and math.isfinite(value) else None


def rungs_used(search: dict[str, Any]) -> list[str]:
    """Return the rungs that scored at least one candidate, from cheap to dear."""
    return [
        rung
        for rung in search["rungs"]
        if any(score_at(candidate, rung) is not None for candidate in search["candidates"])
    ]


def candidates_by_rung(search: dict[str, Any], width: float, measure: str) -> Markup:
    """Draw one band a rung: x is the search's order, y the score; lines join a candidate's scores."""
    rungs, candidates = rungs_used(search), search["candidates"]
    height = 330.0 if width <= svg.NARROW else 400.0
    bands = _bands(candidates, rungs, width)
    scales = {rung: _scale(candidates, group, height) for group in _groups(rungs) for rung in group}
    places = _places(candidates, bands, scales)
    parts = _frame(bands, scales, width, measure)
    parts += _joins(candidates, rungs, places)
    parts += _points(candidates, rungs, places, 3.2 if width <= svg.NARROW else 4.6)
    title = f"{len(candidates)} candidates over {len(rungs)} rungs: {measure}, lower is better"
    return svg.picture(width, height, title, parts, "marks")


def _groups(rungs: list[str]) -> list[list[str]]:
    """Part the rungs by what they measure; each part has an axis of its own."""
    parts = ([rung for rung in rungs if (rung == RECONSTRUCTION) == first] for first in (True, False))
    return [part for part in parts if part]


def _scale(candidates: list[dict[str, Any]], rungs: list[str], height: float) -> svg.Scale:
    found = (score_at(candidate, rung) for candidate in candidates for rung in rungs)
    positive = [value for value in found if value is not None and value > 0] or [1.0]
    return svg.Scale(min(positive) / 1.35, max(positive) * 1.35, height - 34, 34, is_log=True)


def _axis_words(rung: str, measure: str, is_narrow: bool) -> str:
    if rung == RECONSTRUCTION:
        return "Share lost" if is_narrow else "Share of the layers' outputs lost"
    words = f"{measure[:1].upper()}{measure[1:]}"
    return f"{words} (log)" if is_narrow else f"{words} (log scale; lower is better)"


def _bands(
    candidates: list[dict[str, Any]], rungs: list[str], width: float
) -> dict[str, tuple[float, float]]:
    """Share the width among the rungs by the square root of how many candidates each scored."""
    groups = _groups(rungs)
    sizes = {
        rung: math.sqrt(sum(score_at(candidate, rung) is not None for candidate in candidates)) + 2
        for rung in rungs
    }
    unit = (width - MARGIN * len(groups)) / sum(sizes.values())
    start, bands = 0.0, {}
    for group in groups:
        start += MARGIN  # for the axis
        for rung in group:
            bands[rung] = (start, start + sizes[rung] * unit)
            start += sizes[rung] * unit
    return bands


def _places(
    candidates: list[dict[str, Any]],
    bands: dict[str, tuple[float, float]],
    scales: dict[str, svg.Scale],
) -> Places:
    places: Places = {}
    for rung, (start, end) in bands.items():
        here = [candidate for candidate in candidates if score_at(candidate, rung) is not None]
        for order, candidate in enumerate(here):
            x = start + 12 + (end - start - 24) * (order + 0.5) / len(here)
            places[rung, str(candidate["id"])] = (x, scales[rung](score_at(candidate, rung) or 0.0))
    return places


def _frame(
    bands: dict[str, tuple[float, float]], scales: dict[str, svg.Scale], width: float, measure: str
) -> list[Markup]:
    is_narrow, parts = width <= svg.NARROW, []
    for group in _groups(list(bands)):
        left, right, y = bands[group[0]][0], bands[group[-1]][1], scales[group[0]]
        parts.append(svg.text(left - MARGIN, 12, _axis_words(group[0], measure, is_narrow), "axis"))
        for tick in y.ticks():
            parts += [
                svg.line(left, y(tick), right, y(tick)),
                svg.text(left - 8, y(tick) + 4, f"{tick:g}", anchor="end"),
            ]
        for rung in group:
            start, end = bands[rung]
            if rung != group[0]:
                parts.append(svg.line(start, 24, start, y.start + 8, "divider"))
            parts += _rung_name(rung, (start + end) / 2, y.start + 20, is_narrow)
    return parts


def _rung_name(rung: str, x: float, y: float, is_narrow: bool) -> list[Markup]:
    lines = textwrap.wrap(rung, 11, break_long_words=False) if is_narrow else [rung]
    return [svg.text(x, y + 12 * index, words, "axis", "middle") for index, words in enumerate(lines)]


def _joins(candidates: list[dict[str, Any]], rungs: list[str], places: Places) -> list[Markup]:
    joins = []
    for candidate in sorted(candidates, key=lambda one: bool(one["chosen"])):
        way = [places[rung, str(candidate["id"])] for rung in rungs if (rung, str(candidate["id"])) in places]
        if len(way) > 1:
            joins.append(svg.path(way, "join chosen" if candidate["chosen"] else "join"))
    return joins


def _points(
    candidates: list[dict[str, Any]], rungs: list[str], places: Places, radius: float
) -> list[Markup]:
    points = []
    seeds_last = sorted(candidates, key=lambda one: one["origin"] in SEEDS)
    for candidate in sorted(seeds_last, key=lambda one: bool(one["chosen"])):
        shape, class_, _ = ORIGINS.get(candidate["origin"], _OTHER)
        for rung in rungs:
            place = places.get((rung, str(candidate["id"])))
            if place is None:
                continue
            points.append(svg.marker(shape, *place, radius, class_, candidate_words(candidate, rung)))
            if candidate["chosen"]:
                points.append(svg.marker("circle", *place, radius + 3.4, "chosen-ring"))
    return points


def candidate_words(candidate: dict[str, Any], rung: str) -> str:
    """Say what a candidate is, and its score at a rung."""
    generation = candidate.get("generation")
    words = f"candidate {candidate['id']} ({candidate['origin']}"
    words += f", generation {generation})" if generation is not None else ")"
    words += f": {rung} {score_at(candidate, rung):.4g}, pruning ratio {candidate['ratio']:.3f}"
    kept = candidate.get("kept")
    if kept:
        words += f"; keeps {percent(min(kept))} to {percent(max(kept))} of a group"
    return words + ("; the chosen one" if candidate["chosen"] else "")
