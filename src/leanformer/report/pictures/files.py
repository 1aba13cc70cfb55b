"""A picture as a file of its own, for a page that is not ours."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from leanformer.report.pages import assets
from leanformer.report.pictures import svg

EDGE, LINE = 12, 16


def file_of(
    parts: Sequence[Markup], title: str, height: float, legend: Sequence[tuple[str, str, str]]
) -> str:
    """Return a wide picture as a file, with the page's style and its legend inside.

    Args:
        parts: What is drawn, `svg.WIDE` pixels wide.
        title: Its alternative text.
        height: Of what is drawn, in pixels.
        legend: Shape, class and words, as in `svg.legend`; one below the other.

    Returns:
        An SVG.
    """
    width, whole_height = svg.WIDE + 2 * EDGE, height + LINE * len(legend) + 2 * EDGE
    drawn = [
        svg.element("title", title),
        svg.element("style", Markup(assets("report.css"))),
        svg.element("rect", x=-EDGE, y=-EDGE, width=width, height=whole_height, style="fill: var(--surface)"),
        *parts,
    ]
    for number, (shape, class_, words) in enumerate(legend):
        y = height + LINE * (number + 0.5)
        drawn += [svg.marker(shape, 12, y, 4.5, class_), svg.text(26, y + 4, words)]
    whole = svg.element(
        "svg",
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"{-EDGE} {-EDGE} {width} {whole_height:g}",
        width=width,
        height=whole_height,
        class_="picture",
    )
    return f"{whole}\n"
