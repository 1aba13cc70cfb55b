"""The loss curve of the recovery training."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report.numbers import count
from leanformer.report.pictures import svg

SMOOTHED_FROM = 20


def curve_picture(curve: list[dict[str, Any]]) -> Markup:
    """Draw the loss by step in both widths."""
    return svg.both_widths(loss_by_step(curve, svg.WIDE), loss_by_step(curve, svg.NARROW))


def loss_by_step(curve: list[dict[str, Any]], width: float) -> Markup:
    """Draw the loss; a long curve as a faint line under its moving average."""
    height, left = (190.0, 44.0) if width <= svg.NARROW else (250.0, 52.0)
    steps, losses = [point["step"] for point in curve], [float(point["loss"]) for point in curve]
    x = svg.Scale(min(steps), max(steps), left, width - 18)
    y = svg.Scale(min(0.0, *losses), max(losses) * 1.05 or 1.0, height - 34, 26)
    parts = [svg.text(0, 12, "training loss", "axis"), svg.text(width, height - 2, "step", "axis", "end")]
    for tick in y.ticks(4):
        parts += [
            svg.line(left, y(tick), width, y(tick)),
            svg.text(left - 8, y(tick) + 4, f"{tick:g}", anchor="end"),
        ]
    ticks = [tick for tick in x.ticks(3 if width <= svg.NARROW else 6) if tick == int(tick)]
    parts += [svg.text(x(tick), height - 16, count(tick), anchor="middle") for tick in ticks]
    raw = [(x(step), y(loss)) for step, loss in zip(steps, losses, strict=True)]
    if len(curve) >= SMOOTHED_FROM:
        parts.append(svg.path(raw, "loss faint"))
        raw = [(x(step), y(loss)) for step, loss in zip(steps, smoothed(losses), strict=True)]
    parts.append(svg.path(raw, "loss"))
    title = f"Training loss: {losses[0]:.3g} at step {steps[0]}, {losses[-1]:.3g} at step {steps[-1]}"
    return svg.picture(width, height, title, parts)


def smoothed(losses: list[float]) -> list[float]:
    """Return the centred moving average over a tenth of the curve."""
    reach = max(1, len(losses) // 20)
    windows = (losses[max(0, index - reach) : index + reach + 1] for index in range(len(losses)))
    return [sum(window) / len(window) for window in windows]
