"""The ladder of `--method auto` as a table: one row a rung, with its best step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from leanformer.report import numbers
from leanformer.report.ladder_words import (
    Rung,
    Step,
    asked_speedup,
    asks_for_more,
    chosen_rung,
    chosen_step,
    error_words,
)
from leanformer.report.runtimes import variant


@dataclass(frozen=True)
class RungRow:
    """A rung and the step that stands for it.

    Attributes:
        name: The rung.
        pruned: Share of the encoder that it removes, for people; empty where it removes nothing.
        words: What it does; where the rung before has the same name, what it was asked for.
        seconds: How long it took, for people.
        note: Why it was skipped or stopped, if it was.
        variant: The step's runtime, precision and form; empty where the rung has no steps.
        speed: Its speed-up.
        interval: The 95% interval of that.
        lost: Points lost.
        error: The standard error of that, as "±0.8"; empty where it is none.
        is_sound: Whether these, the error added, are within what may be lost.
        met: Whether the step met the whole budget; None where nothing but the score was limited.
        is_chosen: Whether the climb ended here.
    """

    name: str
    pruned: str
    words: str
    seconds: str
    note: str
    variant: str = ""
    speed: str = ""
    interval: str = ""
    lost: str = ""
    error: str = ""
    is_sound: bool = True
    met: bool | None = None
    is_chosen: bool = False


def rung_rows(ladder: dict[str, Any]) -> list[RungRow]:
    """Return one row a rung.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        The rows, in the order of the climb.
    """
    return [
        _row(ladder, rung, _news(rung, before))
        for rung, before in zip(ladder["rungs"], [None, *ladder["rungs"]], strict=False)
    ]


def _news(rung: Rung, before: Rung | None) -> str:
    """Return what a rung does; beside another of the same name only what it was asked for, if that is new."""
    words: str = rung["words"]
    if before is None or rung["name"] != before["name"]:
        return words
    does, _, asked = words.partition(", ")
    return "" if words == before["words"] else asked if before["words"].startswith(f"{does}, ") else words


def best_step(ladder: dict[str, Any], rung: Rung) -> Step | None:
    """Return the step that stands for a rung.

    Args:
        ladder: The `ladder` of result.json.
        rung: One of its rungs.

    Returns:
        The chosen step where it is of this rung; else the fastest that meets the budget; else the fastest sound one;
        else the one that loses least of those that are as fast as asked, or of all. None where the rung has no steps.
    """
    if rung is chosen_rung(ladder):
        return chosen_step(ladder)
    asked = asked_speedup(ladder) or 0.0
    ways: tuple[tuple[Callable[[Step], bool], Callable[[Step], float]], ...] = (
        (lambda step: step["met"] and step["sound"], lambda step: step["ratio"]),
        (lambda step: step["sound"], lambda step: step["ratio"]),
        (lambda step: step["ratio"] >= asked, lambda step: -step["drop_points"]),
        (lambda step: True, lambda step: -step["drop_points"]),
    )
    for fits, worth in ways:
        if steps := [step for step in rung["steps"] if fits(step)]:
            return max(steps, key=worth)
    return None


def _row(ladder: dict[str, Any], rung: Rung, words: str) -> RungRow:
    row = RungRow(
        name=rung["name"],
        pruned=numbers.percent(rung["pruning_ratio"]) if rung.get("pruning_ratio") else "",
        words=words,
        seconds=numbers.seconds(rung["seconds"]),
        note=rung.get("note") or "",
    )
    step = best_step(ladder, rung)
    if step is None:
        return row
    return replace(
        row,
        variant=variant(step),
        speed=f"{numbers.times_exact(step['ratio'])}×",
        interval=numbers.times_interval(step["ratio_low"], step["ratio_high"]),
        lost=numbers.signed(step["drop_points"]),
        error=error_words(step),
        is_sound=step["sound"],
        met=step["met"] if asks_for_more(ladder) else None,
        is_chosen=step is chosen_step(ladder),
    )


def ladder_table(ladder: dict[str, Any]) -> Table:
    """Show the climb: each rung's cost, and the best of its steps.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        The table; the rung that the climb ended at is marked, and what each rung does stands below.
    """
    limit, n = numbers.points_words(ladder["max_drop_points"]), numbers.count(ladder["n"])
    rows, has_budget = rung_rows(ladder), asks_for_more(ladder)
    table = Table(
        title=f"the ladder, batch {ladder['batch']}: each rung's fastest within {limit} lost (n = {n})",
        caption=_caption(rows, limit, bool(ladder.get("limits"))),
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("  rung", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("best in", min_width=17, overflow="fold")
    for name in ("speed", "lost", *(["budget"] if has_budget else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(_name(row), *_figures(row), *([_budget(row)] if has_budget else []))
    return table


def _name(row: RungRow) -> Text:
    name = Text(f"{'▸' if row.is_chosen else ' '} {row.name}", style="bold" if row.is_chosen else "")
    return name.append(f"\n  {row.pruned} pruned", style="not bold dim") if row.pruned else name


def _figures(row: RungRow) -> tuple[Text, ...]:
    speed = Text(row.speed)
    if row.interval:
        speed.append(f"\n{row.interval}", style="dim")
    lost = Text(row.lost) if row.is_sound else Text(f"▼{row.lost}", style="red")
    if row.error:
        lost.append(f"\n{row.error}", style="dim")
    return Text(row.seconds), Text(row.variant.replace("+", " + ")), speed, lost


def _budget(row: RungRow) -> Text:
    return Text("" if row.met is None else "met" if row.met else "missed")


def _caption(rows: list[RungRow], limit: str, is_limited: bool) -> Text:
    """Say what the rungs do, and why some were skipped or stopped."""
    before = ["", *(row.name for row in rows)]
    names = [f"{row.name} {row.pruned}".rstrip() for row in rows]
    said = [
        row.name if row.name != last else name for row, name, last in zip(rows, names, before, strict=False)
    ]
    lines = ["", *(f"{name}: {row.words}" for name, row in zip(said, rows, strict=True) if row.words)]
    lines += [f"{name}: {row.note}" for name, row in zip(names, rows, strict=True) if row.note]
    if any(row.error for row in rows):
        lines.append(f"±: one standard error; with it no more than {limit} may be lost")
    if not all(row.is_sound for row in rows):
        both = f"{limit}, and to the limits on what may change" if is_limited else limit
        lines.append(
            f"▼ none of the rung's steps keeps to {both}: of those fast enough, or of all, this loses least"
        )
    return Text("\n".join(lines), style="dim")
