"""The cards under the verdict: score, accuracy under attack, speed, parameters, size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.pictures import pairs
from leanformer.report.pictures.layers import has_zeros
from leanformer.report.runtimes import kept_exports
from leanformer.report.served import Served, nothing_removed, served
from leanformer.report.words import main_batch


@dataclass(frozen=True)
class Card:
    """One figure, before and after.

    Attributes:
        name: What is measured.
        value: The figure after, large.
        before: The figure before; None where the figure itself compares.
        change: What changed, in a few words.
        details: Lines of small print, intervals among them.
        picture: Before and after as a small picture.
    """

    name: str
    value: str
    before: str | None
    change: str
    details: tuple[str, ...]
    picture: Markup


def cards(result: dict[str, Any]) -> list[Card]:
    """Return the cards; the speed is left out where it was not measured.

    Args:
        result: The content of result.json.

    Returns:
        Three to five cards.
    """
    made = [_score(result), _attack(result), _speed(result), _parameters(result), _size(result)]
    return [card for card in made if card is not None]


def _score(result: dict[str, Any]) -> Card:
    dense, compressed = result["dense"], result["compressed"]
    rows = [
        (one["score"], one["low"], one["high"], class_)
        for one, class_ in ((dense, "bar-dense"), (compressed, "bar-compressed"))
    ]
    drop = result["drop_points"]
    return Card(
        name=numbers.metric_name(result["metric"]),
        value=numbers.points(compressed["score"]),
        before=numbers.points(dense["score"]),
        change=f"{numbers.signed(-drop) if drop > 0 else '+' + numbers.signed(-drop)} points",
        details=(
            *(_task_words(task) for task in result.get("tasks") or ()),
            f"now {numbers.points_interval(compressed['low'], compressed['high'])}",
            f"before {numbers.points_interval(dense['low'], dense['high'])}",
            f"95% intervals, n = {numbers.count(result['n'])}",
            *(("in PyTorch fp32",) if nothing_removed(result) else ()),
        ),
        picture=pairs.intervals(rows, "Score before and after, with 95% intervals"),
    )


def _task_words(task: dict[str, Any]) -> str:
    scores = f"{numbers.points(task['dense'])} → {numbers.points(task['compressed'])}"
    return f"{task['name']}: {scores}, n = {numbers.count(task['n'])} held-out rows"


def _attack(result: dict[str, Any]) -> Card | None:
    attack = result.get("attack")
    if attack is None:
        return None
    before, after = attack["dense"], attack["compressed"]
    gained = 100 * (after["attacked"] - before["attacked"])
    return Card(
        name="accuracy under attack",
        value=numbers.points(after["attacked"]),
        before=numbers.points(before["attacked"]),
        change=f"{'+' if gained >= 0 else ''}{numbers.signed(gained)} points",
        details=(
            f"without attack {numbers.points(before['clean'])} → {numbers.points(after['clean'])}",
            f"typing errors, n = {numbers.count(after['n'])} held-out rows",
        ),
        picture=pairs.bars(before["attacked"], after["attacked"], "Accuracy under attack before and after"),
    )


def _speed(result: dict[str, Any]) -> Card | None:
    if nothing_removed(result):
        return _served_speed(served(result))
    first = main_batch(result)
    if first is None:
        return None
    intervals = result.get("speedup_interval") or {}
    batches = sorted(result["speedup"], key=int)
    rows, details = [], []
    for batch in batches:
        ratio = result["speedup"][batch]
        low, high = intervals.get(batch, (ratio, ratio))
        rows.append((ratio, low, high, "bar-compressed"))
        within = f" ({numbers.times_interval(low, high).replace(' to ', '–')})" if batch in intervals else ""
        details.append(f"batch {batch}: {numbers.times_exact(ratio)}×{within}")
    return Card(
        name="speed",
        value=f"{numbers.times(result['speedup'][first])}×",
        before=None,
        change=f"at batch {first}",
        details=(*details, "PyTorch fp32, 95% intervals" if intervals else "PyTorch fp32"),
        picture=pairs.intervals(rows, "Speed by batch size; the line is the original", line_at=1.0),
    )


def _served_speed(one: Served) -> Card:
    """Return the speed of the variant to serve: where nothing was removed, PyTorch fp32 is as fast as before."""
    within = numbers.times_interval(one.low, one.high).replace(" to ", "–")
    return Card(
        name="speed",
        value=f"{numbers.times(one.ratio)}×",
        before=None,
        change=f"at batch {one.batch}",
        details=(f"{numbers.times_exact(one.ratio)}× ({within})", f"{one.variant}, 95% interval"),
        picture=pairs.intervals(
            [(one.ratio, one.low, one.high, "bar-compressed")], "Speed; the line is the original", line_at=1.0
        ),
    )


def _parameters(result: dict[str, Any]) -> Card:
    before, after = (result[key]["encoder_parameters"] for key in ("dense", "compressed"))
    details = [f"{numbers.count(after)} of {numbers.count(before)}"]
    if has_zeros(result.get("layers")):
        details.append(f"{numbers.percent(result['pruning_ratio_reached'])} of the weights are zeros")
    elif not nothing_removed(result):
        asked, reached = result["pruning_ratio"], result["pruning_ratio_reached"]
        details.append(f"pruning ratio {reached:.3f}, asked {asked:.3g}")
    whole = [result[key].get("parameters") for key in ("dense", "compressed")]
    if None not in whole:
        details.append(f"whole model {' → '.join(numbers.short_count(one) for one in whole)}")
    return Card(
        name="encoder parameters",
        value=numbers.short_count(after),
        before=numbers.short_count(before) if before != after else None,
        change=_change(before, after),
        details=tuple(details),
        picture=pairs.bars(before, after, "Encoder parameters before and after"),
    )


def _size(result: dict[str, Any]) -> Card:
    before, after = (result[key]["size_mb"] for key in ("dense", "compressed"))
    details = ["with embeddings"]
    exports = [one for one in kept_exports(result) if one.get("size_mb")]
    if exports:
        least = min(exports, key=lambda one: float(one["size_mb"]))
        name = f"{numbers.runtime_name(least['runtime'])} {least['precision']}"
        details.append(f"{numbers.megabytes(least['size_mb'])} as {name}")
    return Card(
        name="size on disk",
        value=numbers.megabytes(after),
        before=numbers.megabytes(before) if before != after else None,
        change=_change(before, after),
        details=tuple(details),
        picture=pairs.bars(before, after, "Megabytes before and after"),
    )


def _change(before: float, after: float) -> str:
    change = round(100 * (after / before - 1))
    if before == after:
        return "unchanged"
    return "about the same" if change == 0 else f"{'+' if change > 0 else '−'}{abs(change)}%"
