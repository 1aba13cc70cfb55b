"""How bias flows through an encoder: its degree beyond noise at every position, layer after layer."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report.numbers import signed
from leanformer.report.pictures import svg
from leanformer.report.pictures.files import file_of

MAIN = ("embedding", "value", "context", "attention output", "FFN output")
"""The places that states go through; queries, keys and attention only say where to look."""

IN_LAYER = ("query", "key", "value", "attention", "context", "attention output", "FFN output")
_MARKS = {
    "query": ("diamond", "seed-global"),
    "key": ("diamond", "seed-uniform"),
    "attention": ("square", "bar-dense"),
}
_LEGEND = (
    ("circle", "bar-compressed", "embeddings, values, context, outputs: what the states go through"),
    ("diamond", "seed-global", "queries"),
    ("diamond", "seed-uniform", "keys"),
    ("square", "bar-dense", "the model's own attention, mean of its heads"),
)
LAYERS_A_ROW = {svg.WIDE: 6, svg.NARROW: 2}
TOP, ROW_HEIGHT = 20.0, 210.0
Facts = dict[str, Any]


def flow_picture(flow: Facts) -> Markup:
    """Draw the flow in both widths, with its legend.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        The picture.
    """
    both = svg.both_widths(flow_rows(flow, svg.WIDE), flow_rows(flow, svg.NARROW))
    return both + svg.legend(_LEGEND)


def flow_file(flow: Facts) -> str:
    """Return the wide picture as a file of its own, with the page's style and its legend inside.

    Args:
        flow: See `flow_picture`.

    Returns:
        An SVG.
    """
    return file_of(_drawn(flow, svg.WIDE), _title(flow), _height(flow, svg.WIDE), _LEGEND)


def _height(flow: Facts, width: float) -> float:
    layers = len({one["layer"] for one in flow["places"] if one["layer"] >= 0})
    return TOP + -(-layers // LAYERS_A_ROW[int(width)]) * ROW_HEIGHT


def flow_rows(flow: Facts, width: float) -> Markup:
    """Draw one row of layers below the other, all on one scale.

    Args:
        flow: See `flow_picture`.
        width: `svg.WIDE` or `svg.NARROW`.

    Returns:
        The picture.
    """
    return svg.picture(width, _height(flow, width), _title(flow), _drawn(flow, width), "marks")


def _title(flow: Facts) -> str:
    places = flow["places"]
    layers = len({one["layer"] for one in places if one["layer"] >= 0})
    return f"Bias at {len(places)} positions of {layers} layers, from the embeddings to the last output"


def _drawn(flow: Facts, width: float) -> list[Markup]:
    places = flow["places"]
    ends = [one["beyond"][key] for one in places for key in ("low", "high")]
    low, high = min(0.0, *ends), max(0.01, *ends)
    layers = sorted({one["layer"] for one in places if one["layer"] >= 0})
    size = LAYERS_A_ROW[int(width)]
    rows = [layers[start : start + size] for start in range(0, len(layers), size)]
    parts = [svg.text(0, 12, "size of bias beyond noise", "axis")]
    for number, row in enumerate(rows):
        top = TOP + number * ROW_HEIGHT
        y = svg.Scale(low, high, top + ROW_HEIGHT - 42, top + 14)
        shown = [one for one in places if one["layer"] in row or (number == 0 and one["layer"] < 0)]
        parts += _row(shown, row, y, width)
    return parts


def _row(places: list[Facts], layers: list[int], y: svg.Scale, width: float) -> list[Markup]:
    left, first = 46.0, int(any(one["layer"] < 0 for one in places))
    slots = len(layers) * len(IN_LAYER) + first
    slot = (width - left - 8) / slots

    def x(place: Facts) -> float:
        if place["layer"] < 0:
            return left + slot / 2
        at = layers.index(place["layer"]) * len(IN_LAYER) + IN_LAYER.index(place["name"]) + first
        return left + (at + 0.5) * slot

    parts = _frame(layers, y, width, left, slot, first)
    main = [(x(one), y(one["beyond"]["value"])) for one in places if one["name"] in MAIN]
    parts.append(svg.path(main, "loss"))
    for one in places:
        parts += _point(one, x(one), y)
    return parts


def _frame(
    layers: list[int], y: svg.Scale, width: float, left: float, slot: float, first: int
) -> list[Markup]:
    parts = [
        part
        for tick in y.ticks(4)
        for part in (
            svg.line(left, y(tick), width, y(tick), "one" if tick == 0 else "grid"),
            svg.text(left - 8, y(tick) + 4, f"{tick:g}".replace("-", "−"), anchor="end"),
        )
    ]
    for number, layer in enumerate(layers):
        start = left + (number * len(IN_LAYER) + first) * slot
        parts.append(svg.line(start, y.end - 10, start, y.start, "divider"))
        middle = start + len(IN_LAYER) * slot / 2
        parts.append(svg.text(middle, y.start + 20, f"layer {layer}", "axis", "middle"))
    return parts


def _point(one: Facts, x: float, y: svg.Scale) -> list[Markup]:
    beyond, step = one["beyond"], one["step"]
    shape, class_ = _MARKS.get(one["name"], ("circle", "bar-compressed"))
    where = "embeddings" if one["layer"] < 0 else f"layer {one['layer']}, {one['name']}"
    tip = (
        f"{where}: {signed(beyond['value'], 3)} ({signed(beyond['low'], 3)} to {signed(beyond['high'], 3)}) beyond "
        f"noise of {signed(one['noise'], 3)}; {signed(step['value'], 3)} from the position before"
    )
    whisker = "interval bar-dense" if class_ == "bar-dense" else "interval bar-compressed"
    return [
        svg.line(x, y(beyond["low"]), x, y(beyond["high"]), whisker),
        svg.marker(shape, x, y(beyond["value"]), 4.0, class_, tip),
    ]
