"""Heads by importance: a heat-map of them, and the score as they leave."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report.numbers import points
from leanformer.report.pictures import svg


def heads_picture(heads: dict[str, Any]) -> Markup:
    """Draw the heat-map of heads in both widths.

    Args:
        heads: The `heads` of result.json.

    Returns:
        The picture.
    """
    return svg.both_widths(heat_map(heads, svg.WIDE), heat_map(heads, svg.NARROW))


def ladder_of_heads(heads: dict[str, Any], measure: str) -> Markup:
    """Draw the score by heads removed in both widths.

    Args:
        heads: The `heads` of result.json.
        measure: The metric's name, for people.

    Returns:
        The picture.
    """
    return svg.both_widths(
        score_by_heads(heads, measure, svg.WIDE), score_by_heads(heads, measure, svg.NARROW)
    )


def heads_words(heads: dict[str, Any]) -> str:
    """Say how many heads left, and what the score did on the held-out rows.

    Args:
        heads: The `heads` of result.json.

    Returns:
        A sentence or two.
    """
    every, gone = sum(len(scores) for scores in heads["scores"]), len(heads["removed"])
    words = (
        f"{gone} of {every} heads are gone; the stronger the colour, the higher a head's {heads['measure']}, and a "
        "dashed frame says that it is gone."
    )
    steps = heads.get("ladder")
    if not steps:
        return words
    near = min(steps, key=lambda step: abs(step["removed"] - gone))
    return (
        f"{words} On {heads['judging_rows']} held-out training rows the score went from "
        f"{points(steps[0]['score'])} to {points(near['score'])} with {near['removed']} heads gone."
    )


def heat_map(heads: dict[str, Any], width: float) -> Markup:
    """Draw one row a layer and one cell a head, stronger where the head matters more, outlined where it left."""
    is_narrow = width <= svg.NARROW
    left, row, top = (20.0, 24.0, 26.0) if is_narrow else (64.0, 28.0, 30.0)
    rows: list[list[float]] = heads["scores"]
    removed = {(layer, head) for layer, head in heads["removed"]}
    cell = min((width - left) / max(len(scores) for scores in rows), 2.2 * row)
    most = max((score for scores in rows for score in scores), default=0.0) or 1.0
    parts = [svg.text(left, 16, "heads", "axis"), svg.text(0, 16, "" if is_narrow else "layer", "axis")]
    for layer, scores in enumerate(rows):
        y = top + layer * row
        parts.append(svg.text(0, y + row / 2 + 3, str(layer)))
        for head, score in enumerate(scores):
            gone = (layer, head) in removed
            tip = (
                f"layer {layer}, head {head}: {heads['measure']} {score:.3g}, {'removed' if gone else 'kept'}"
            )
            parts.append(
                svg.element(
                    "rect",
                    svg.element("title", tip),
                    x=left + head * cell,
                    y=y,
                    width=cell - 3,
                    height=row - 3,
                    rx=3,
                    class_="cell gone" if gone else "cell",
                    fill_opacity=0.05 + 0.95 * score / most,
                )
            )
    count = sum(len(scores) for scores in rows)
    measure = str(heads["measure"]).capitalize()
    title = f"{measure} of {count} heads in {len(rows)} layers; {len(removed)} of them were removed"
    return svg.picture(width, top + len(rows) * row, title, parts, "marks")


def score_by_heads(heads: dict[str, Any], measure: str, width: float) -> Markup:
    """Draw the score on held-out training rows as the heads leave in the order of their importance."""
    height, left = (190.0, 44.0) if width <= svg.NARROW else (250.0, 52.0)
    steps = heads["ladder"]
    counts, scores = [step["removed"] for step in steps], [step["score"] for step in steps]
    x = svg.Scale(0, max(counts), left, width - 18)
    y = svg.Scale(min(scores) - 0.02, max(scores) + 0.02, height - 34, 26)
    parts = [
        svg.text(0, 12, measure, "axis"),
        svg.text(width, height - 2, "heads removed", "axis", "end"),
    ]
    for tick in y.ticks(4):
        parts += [
            svg.line(left, y(tick), width, y(tick)),
            svg.text(left - 8, y(tick) + 4, points(tick), anchor="end"),
        ]
    ticks = [tick for tick in x.ticks(3 if width <= svg.NARROW else 6) if tick == int(tick)]
    parts += [svg.text(x(tick), height - 16, f"{tick:g}", anchor="middle") for tick in ticks]
    parts.append(svg.path(list(zip(map(x, counts), map(y, scores), strict=True)), "loss"))
    chosen = len(heads["removed"])
    for count, score in zip(counts, scores, strict=True):
        tip = f"{count} heads removed: {points(score)}"
        parts.append(svg.marker("circle", x(count), y(score), 3.5, "bar-compressed", tip))
    parts.append(svg.line(x(chosen), 20, x(chosen), height - 34, "one"))
    title = f"{measure} from {points(scores[0])} with all heads to {points(scores[-1])} with none"
    return svg.picture(width, height, title, parts)
