"""The speed as a picture: each variant against the original in PyTorch fp32, a line at one."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report import numbers
from leanformer.report.pictures import svg
from leanformer.report.runtimes import lost_points, variant


def speed_picture(rows: list[dict[str, Any]]) -> Markup:
    """Draw the benchmark in both widths, with its legend."""
    wide, narrow = (ratios_by_variant(rows, width) for width in (svg.WIDE, svg.NARROW))
    entries = [("square", "bar-dense", "original"), ("square", "bar-compressed", "compressed")]
    if any(lost_points(row, rows) is not None for row in rows):
        entries.append(("square", "bar-fallen", "its score fell"))
    return svg.both_widths(wide, narrow) + svg.legend(entries)


def ratios_by_variant(rows: list[dict[str, Any]], width: float) -> Markup:
    """Draw one bar a row, grouped by batch and model, with its interval."""
    is_narrow = width <= svg.NARROW
    left, right, step = (112.0, 58.0, 20.0) if is_narrow else (190.0, 110.0, 25.0)
    longest = max(max(row.get("ratio_high") or 0, row["ratio"], 1.0) for row in rows)
    x = svg.Scale(0.0, longest, left, width - right)
    parts: list[Markup] = []
    y = 22.0
    for batch in sorted({row["batch"] for row in rows}):
        start = y
        parts.append(svg.text(0, y, f"batch {batch}", "group"))
        y += 12
        for row in _ordered([row for row in rows if row["batch"] == batch]):
            parts += _bar(row, lost_points(row, rows), x, y, step)
            y += step
        parts.append(svg.line(x(1.0), start - 6, x(1.0), y, "one"))
        y += 30
    parts += [
        svg.text(x(tick), y - 12, f"{tick:g}×", "tick", "middle") for tick in x.ticks(4 if is_narrow else 8)
    ]
    title = "Speed of each variant as a multiple of the original in PyTorch fp32, with 95% intervals"
    return svg.picture(width, y, title, parts, "marks")


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["model"] != "dense")


def _bar(row: dict[str, Any], lost: float | None, x: svg.Scale, y: float, step: float) -> list[Markup]:
    height = step - 7
    middle = y + height / 2
    kind = "dense" if row["model"] == "dense" else "compressed"
    class_ = f"bar-{kind}" if lost is None else f"bar-{kind} bar-fallen"
    parts = [
        svg.text(x.start - 8, middle + 4, variant(row), "label", "end"),
        svg.bar(x.start, y, x(row["ratio"]) - x.start, height, class_, _row_words(row, lost)),
    ]
    low, high = row.get("ratio_low"), row.get("ratio_high")
    if low is not None and high is not None:
        parts += [svg.line(x(low), middle, x(high), middle, "whisker")]
        parts += [svg.line(x(end), middle - 3, x(end), middle + 3, "whisker") for end in (low, high)]
    after = max(x(row["ratio"]), x(high or 0.0)) + 6
    parts.append(svg.text(after, middle + 4, f"{numbers.times(row['ratio'])}×", "figure strong"))
    if lost is not None:
        parts.append(svg.text(after + 34, middle + 4, f"▼{lost:.1f}", "figure fallen"))
    return parts


def _row_words(row: dict[str, Any], lost: float | None) -> str:
    words = f"{numbers.model_name(row['model'])}, {variant(row)}, batch {row['batch']}: "
    words += (
        f"{numbers.three_digits(row['latency_ms'])} ms, {numbers.times_exact(row['ratio'])} times the speed"
    )
    if row.get("ratio_low") is not None:
        words += f" (95% interval {numbers.times_interval(row['ratio_low'], row['ratio_high'])})"
    if row.get("score") is not None:
        words += f", score {numbers.points(row['score'])}"
    return words + (f", {lost:.1f} points under its own fp32 score" if lost is not None else "")
