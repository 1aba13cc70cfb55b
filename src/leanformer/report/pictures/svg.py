"""Helpers for inline SVG: escaped elements, scales, ticks and legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDE, NARROW = 880, 336


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return one element; text and attribute values are escaped, None leaves an attribute out.

    Args:
        name: The element's name.
        *children: Markup is kept, plain text is escaped.
        **attributes: `class_` is written `class`, `stroke_width` is written `stroke-width`.

    Returns:
        The element.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(escape(child) for child in children)}</{name}>")


def _plain(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(x: float, y: float, content: str, class_: str = "tick", anchor: str = "start") -> Markup:
    """Return one line of text."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str = "grid") -> Markup:
    """Return one straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def bar(x: float, y: float, width: float, height: float, class_: str, tip: str | None = None) -> Markup:
    """Return one rectangle with softened corners, and its read-out."""
    children = [element("title", tip)] if tip else []
    radius = min(3.0, max(width, 0.0) / 4, height / 4)
    return element(
        "rect", *children, x=x, y=y, width=max(width, 0.0), height=height, rx=radius, class_=class_
    )


def path(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Return an open line through the points."""
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", d=f"M{steps}", class_=class_)


def marker(shape: str, x: float, y: float, radius: float, class_: str, tip: str | None = None) -> Markup:
    """Return a point: "circle", "square", "diamond" or "triangle", with its read-out."""
    children = [element("title", tip)] if tip else []
    if shape == "circle":
        return element("circle", *children, cx=x, cy=y, r=radius, class_=class_)
    if shape == "triangle":
        left, right, base = x - 1.2 * radius, x + 1.2 * radius, y + 0.9 * radius
        corners = f"{left:.1f},{base:.1f} {right:.1f},{base:.1f} {x:.1f},{y - 1.2 * radius:.1f}"
        return element("polygon", *children, points=corners, class_=class_)
    turn = f"rotate(45 {x:.2f} {y:.2f})" if shape == "diamond" else None
    side = 1.8 * radius
    return element(
        "rect",
        *children,
        x=x - side / 2,
        y=y - side / 2,
        width=side,
        height=side,
        transform=turn,
        class_=class_,
    )


def picture(width: float, height: float, title: str, parts: Iterable[Markup], class_: str = "") -> Markup:
    """Return a whole SVG with its alternative text."""
    return element(
        "svg",
        element("title", title),
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        class_=f"picture {class_}".strip(),
        style=f"max-width:{width * 1.35 if width <= NARROW else width:g}px",
    )


@dataclass(frozen=True)
class Scale:
    """A map from values to pixels.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Pixel of `low`.
        end: Pixel of `high`.
        is_log: Whether the scale is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside are held at the ends."""
        held = min(max(value, self.low), self.high)
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        place = (math.log(held) if self.is_log else held) - low
        return self.start + (self.end - self.start) * place / ((high - low) or 1.0)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Return round values inside the scale."""
        return _log_ticks(self.low, self.high) if self.is_log else _linear_ticks(self.low, self.high, wanted)


def _linear_ticks(low: float, high: float, wanted: int) -> list[float]:
    span = (high - low) or 1.0
    rough = span / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors: Sequence[int] = (1,) if math.log10(high / low) > 3 else (1, 2, 5)
    values = [factor * 10.0**decade for decade in decades for factor in factors]
    return [value for value in values if low <= value <= high]


def both_widths(wide: Markup, narrow: Markup) -> Markup:
    """Return a picture in two widths; the style sheet shows the one that fits the window."""
    return element("div", wide, class_="wide") + element("div", narrow, class_="narrow")


def legend(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """Return a legend.

    Args:
        entries: Shape, class of the mark and words of each entry.

    Returns:
        An HTML list.
    """
    items = []
    for shape, class_, words in entries:
        mark = marker(shape, 7, 7, 4.5, class_)
        swatch = element("svg", mark, viewBox="0 0 14 14", class_="swatch", aria_hidden="true")
        items.append(element("li", swatch, words))
    return element("ul", *items, class_="legend")
