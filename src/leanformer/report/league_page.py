"""The page of a league: league.json in, one self-contained league.html out."""

from __future__ import annotations

from typing import Any

from leanformer.report import numbers
from leanformer.report.league_table import minutes
from leanformer.report.league_words import (
    asked_words,
    beaten_sentences,
    headline,
    notes,
    refused_name,
)
from leanformer.report.pages import assets, fill
from leanformer.report.pictures.league import league_picture


def league_page(league: dict[str, Any]) -> str:
    """Return the whole page.

    Args:
        league: The content of league.json.

    Returns:
        HTML that loads nothing from outside itself.
    """
    speeds = len(league["batches"]) * len(league["precisions"])
    return fill(
        "league.html.j2",
        style=assets("report.css", "league.css"),
        script=assets("report.js"),
        league=league,
        headline=headline(league),
        notes=notes(league),
        beaten=beaten_sentences(league),
        refused=[(refused_name(one, league), one["sentence"]) for one in league["refused"]],
        columns=7 + speeds + bool(league["dense"]["test"]),
        # the larger batch first: there it shows what was removed, at one text the calls themselves cost
        pictures=[(size, league_picture(league, size)) for size in reversed(league["batches"])],
        rows=[_view(row, league) for row in (league["dense"], *league["rows"])],
        machine=[
            (key.replace("_", " "), value)
            for key, value in league["machine"].items()
            if isinstance(value, str | int)
        ]
        + list(league["machine"]["versions"].items()),
    )


def _view(row: dict[str, Any], league: dict[str, Any]) -> dict[str, Any]:
    is_dense, test = row is league["dense"], row["test"]
    return {
        "number": "" if is_dense else league["rows"].index(row) + 1,
        "name": "original" if is_dense else row["method"],
        "cell": "" if is_dense else row["cells"][0],
        "paper": "" if is_dense else f"{row['paper']}, {row['year']}",
        "is_dense": is_dense,
        "is_beaten": not is_dense and row["beaten_by"] is not None,
        "is_on_front": bool(row.get("front")),
        "score": numbers.points(row["score"]),
        "interval": numbers.points_interval(row["low"], row["high"]),
        "lost": "" if is_dense else numbers.signed(row["drop_points"]),
        "lost_interval": "" if is_dense else numbers.drop_interval((row["drop_low"], row["drop_high"])),
        "test": "" if test is None else numbers.points(test["score"]),
        "test_lost": ""
        if test is None or is_dense
        else f"{numbers.signed(test['drop_points'])} lost "
        f"({numbers.drop_interval((test['drop_low'], test['drop_high']))})",
        "asked": "" if is_dense else asked_words(row),
        "reached": "" if is_dense else f"{row['reached']:.2f}",
        "parameters": numbers.short_count(row["encoder_parameters"]),
        "macs": "" if is_dense else numbers.percent(row["macs_share"]),
        "speeds": [
            [_speed(row["speeds"][str(size)], precision, is_dense) for size in league["batches"]]
            for precision in league["precisions"]
        ],
        "minutes": minutes(row["minutes"]),
        "steps": ""
        if is_dense
        else f"{numbers.count(row['steps'])} steps"
        if row["steps"]
        else "no training",
    }


def _speed(speeds: dict[str, Any], precision: str, is_dense: bool) -> dict[str, str] | None:
    """Prepare one speed; None where there is none in that precision."""
    if precision not in speeds:
        return None
    speed = speeds[precision]
    place = f"{numbers.three_digits(speed['latency_ms'])} ms, {numbers.runtime_name(speed['runtime'])}"
    return {
        "ratio": f"{numbers.times_exact(speed['ratio'])}×",
        "interval": "" if is_dense else numbers.times_interval(speed["low"], speed["high"]),
        "place": place,
        "score": "" if precision == "fp32" else numbers.points(speed["score"]),  # fp32's is the row's
    }
