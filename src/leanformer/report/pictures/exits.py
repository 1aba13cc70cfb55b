"""The dial of early exit: the score by the share of layers saved, and where the texts left."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report.numbers import percent, points
from leanformer.report.pictures import svg

_RULES = {
    "entropy": "its entropy, from 0 (sure) to 1, is below",
    "patience": "so many exits in a row have agreed:",
    "learned": "its own estimate of being wrong is below",
}


def exits_picture(exits: dict[str, Any], measure: str) -> Markup:
    """Draw the dial in both widths.

    Args:
        exits: The `exits` of result.json.
        measure: The metric's name, for people.

    Returns:
        The picture.
    """
    return svg.both_widths(dial(exits, measure, svg.WIDE), dial(exits, measure, svg.NARROW))


def exits_words(exits: dict[str, Any]) -> str:
    """Say by what texts leave, and how many layers that saves.

    Args:
        exits: The `exits` of result.json.

    Returns:
        Two sentences.
    """
    left = ", ".join(
        f"{count} after layer {layer}"
        for count, layer in zip(exits["left_at"], exits["layers"], strict=True)
        if count
    )
    return (
        f"A text leaves at the first exit where {_RULES[exits['policy']]} {exits['threshold']:g}. Of {exits['rows']} "
        f"held-out rows {left}; {percent(exits['saved'])} of the layers did not run, and "
        f"{percent(exits['agreement'])} of the answers are those of the whole model."
    )


def dial(exits: dict[str, Any], measure: str, width: float) -> Markup:
    """Draw the score of every setting, and mark the one that was taken."""
    height, left = (190.0, 44.0) if width <= svg.NARROW else (250.0, 52.0)
    curve = exits["curve"]
    saved, scores = [step["saved"] for step in curve], [step["score"] for step in curve]
    x = svg.Scale(0.0, max(saved) or 1.0, left, width - 18)
    y = svg.Scale(min(scores) - 0.02, max(scores) + 0.02, height - 34, 26)
    parts = [
        svg.text(0, 12, f"{measure} on {exits['rows']} held-out rows", "axis"),
        svg.text(width, height - 2, "share of the layers that does not run", "axis", "end"),
    ]
    for tick in y.ticks(4):
        parts += [
            svg.line(left, y(tick), width, y(tick)),
            svg.text(left - 8, y(tick) + 4, points(tick), anchor="end"),
        ]
    ticks = x.ticks(3 if width <= svg.NARROW else 6)
    parts += [svg.text(x(tick), height - 16, percent(tick), anchor="middle") for tick in ticks]
    parts.append(svg.path(list(zip(map(x, saved), map(y, scores), strict=True)), "loss"))
    for step in curve:
        tip = (
            f"threshold {step['threshold']:g}: {percent(step['saved'])} saved, {points(step['score'])}, "
            f"{percent(step['agreement'])} of the answers unchanged"
        )
        parts.append(svg.marker("circle", x(step["saved"]), y(step["score"]), 3.5, "bar-compressed", tip))
    parts.append(svg.line(x(exits["saved"]), 20, x(exits["saved"]), height - 34, "one"))
    title = f"{measure} from {points(scores[0])} to {points(scores[-1])} as more layers are saved"
    return svg.picture(width, height, title, parts)
