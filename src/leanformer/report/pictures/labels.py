"""Where ticks and names go in pictures of speed-up against score."""

from __future__ import annotations

from leanformer.report.pictures import svg

_ROUND_RATIOS = (1.0, 2.0, 4.0, 0.5, 8.0, 16.0, 3.0, 6.0, 1.5, 12.0, 0.25, 0.75, 24.0, 32.0, 64.0, 5.0, 10.0)


def ratio_ticks(x: svg.Scale) -> list[float]:
    """Return as many round speed-ups as fit beside each other, the roundest first."""
    shown: list[float] = []
    for ratio in _ROUND_RATIOS:
        if x.low <= ratio <= x.high and all(abs(x(ratio) - x(other)) > 38 for other in shown):
            shown.append(ratio)
    return shown


def corners(
    x: float, y: float, wide: float, high: float, area: tuple[float, float, float, float]
) -> list[tuple[float, float]]:
    """Return where the upper left corner of a point's label may lie, the nearest first.

    Args:
        x: Of the point.
        y: Of the point.
        wide: Width of the label.
        high: Height of the label.
        area: Left, top, right and bottom of the picture's area, which labels do not leave.

    Returns:
        Places.
    """
    start, ceiling, end, bottom = area
    tops = (y - high - 12, y + 12, y - high / 2, y - high - 44, y + 44, y - high - 90, y + 90)
    lefts = (x - wide / 2, x + 14, x - wide - 14)
    return [
        (min(max(left, start), end - wide), min(max(top, ceiling), bottom - high))
        for top in tops
        for left in lefts
    ]
