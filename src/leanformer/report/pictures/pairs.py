"""Small pictures of the cards: before and after, as bars or as points with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from leanformer.report.pictures import svg

WIDTH, HEIGHT = 220.0, 40.0


def bars(before: float, after: float, title: str) -> Markup:
    """Draw two bars from zero."""
    x = svg.Scale(0.0, max(before, after), 0.0, WIDTH)
    parts = [svg.bar(0, 4, x(before), 13, "bar-dense"), svg.bar(0, 23, x(after), 13, "bar-compressed")]
    return svg.picture(WIDTH, HEIGHT, title, parts)


def intervals(
    rows: Sequence[tuple[float, float, float, str]], title: str, line_at: float | None = None
) -> Markup:
    """Draw one point with its interval a row.

    Args:
        rows: Value, low, high and class of each.
        title: The alternative text.
        line_at: Where a line for comparison stands.

    Returns:
        The picture.
    """
    ends = [end for _, low, high, _ in rows for end in (low, high)] + (
        [line_at] if line_at is not None else []
    )
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    x = svg.Scale(min(ends) - margin, max(ends) + margin, 4.0, WIDTH - 4)
    parts = [svg.line(x(line_at), 0, x(line_at), HEIGHT, "one")] if line_at is not None else []
    for index, (value, low, high, class_) in enumerate(rows):
        y = HEIGHT * (index + 0.5) / len(rows)
        parts.append(svg.line(x(low), y, x(high), y, f"interval {class_}"))
        parts.append(svg.marker("circle", x(value), y, 5.5, class_))
    return svg.picture(WIDTH, HEIGHT, title, parts)
