"""What was removed from each layer: heads as squares and neurons as bars, or a heat-map of matrices."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leanformer.report.numbers import count, percent
from leanformer.report.pictures import svg

MATRICES = {
    "query": "query",
    "key": "key",
    "value": "value",
    "attention_out": "attention out",
    "ffn_in": "FFN in",
    "ffn_out": "FFN out",
}
_SHORT = {"attention_out": "att. out"}


def layers_picture(layers: list[dict[str, Any]]) -> Markup:
    """Draw the layers in both widths.

    Args:
        layers: The `layers` of result.json, 6 to 24 of them with 12 to 16 heads.

    Returns:
        The picture.
    """
    draws = [tokens_in_layers] if drops_tokens(layers) else []
    if has_zeros(layers):
        draws.append(matrices_in_layers)
    elif not draws or lacks_units(layers):
        draws.append(units_in_layers)
    pictures = [svg.both_widths(draw(layers, svg.WIDE), draw(layers, svg.NARROW)) for draw in draws]
    return Markup("\n").join(pictures)


def has_zeros(layers: list[dict[str, Any]] | None) -> bool:
    """Whether what was removed are zeros among the weights of matrices, which stay where they are."""
    return any(layer.get("matrix_ratio") for layer in layers or ())


def drops_tokens(layers: list[dict[str, Any]] | None) -> bool:
    """Whether tokens leave between the layers."""
    return any(layer.get("tokens", 1) < 1 for layer in layers or ())


def lacks_units(layers: list[dict[str, Any]]) -> bool:
    """Whether a head or a neuron was removed."""
    return any(layer[key] < layer[f"dense_{key}"] for layer in layers for key in ("heads", "neurons"))


def tokens_in_layers(layers: list[dict[str, Any]], width: float) -> Markup:
    """Draw one bar a layer: what is left of a text behind its attention."""
    is_narrow = width <= svg.NARROW
    left, side, row, top = (20.0, 9.0, 17.0, 30.0) if is_narrow else (64.0, 17.0, 27.0, 36.0)
    end = width - 48.0
    parts = [
        svg.text(left, 16, "tokens of a text that its FFN and the layers after it read", "axis"),
        svg.text(0, 16, "" if is_narrow else "layer", "axis"),
    ]
    for index, layer in enumerate(layers):
        y, share = top + index * row, layer["tokens"]
        tip = f"layer {layer['layer']}: {percent(share)} of the tokens are left behind its attention"
        parts += [
            svg.text(0, y + side / 2 + 4, str(layer["layer"])),
            svg.bar(left, y, end - left, side, "neurons removed", tip),
            svg.bar(left, y, share * (end - left), side, "neurons kept", tip),
            svg.text(end + 6, y + side / 2 + 4, percent(share), "figure"),
        ]
    return svg.picture(width, top + len(layers) * row, tokens_kept(layers), parts, "marks")


def tokens_kept(layers: list[dict[str, Any]]) -> str:
    """Say how many tokens are left in the end, and on average."""
    shares = [layer["tokens"] for layer in layers]
    return (
        f"Of a text's tokens {percent(shares[-1])} are left behind the last layer's attention, "
        f"{percent(sum(shares) / len(shares))} on average over the layers; the first token always stays."
    )


def units_in_layers(layers: list[dict[str, Any]], width: float) -> Markup:
    """Draw one row a layer: a square for each head and a bar for the neurons."""
    is_narrow = width <= svg.NARROW
    side, gap, row, top = (7.5, 2.0, 17.0, 34.0) if is_narrow else (17.0, 4.0, 27.0, 36.0)
    left, count_width = (20.0, 38.0) if is_narrow else (64.0, 70.0)
    heads_end = left + max(layer["dense_heads"] for layer in layers) * (side + gap)
    bar_start, bar_end = heads_end + count_width, width - (62.0 if is_narrow else 110.0)
    parts = [
        svg.text(left, 16, "heads", "axis"),
        svg.text(bar_start, 16, "FFN neurons", "axis"),
        svg.text(0, 16, "" if is_narrow else "layer", "axis"),
    ]
    for index, layer in enumerate(layers):
        y = top + index * row
        middle = y + side / 2 + 4
        parts.append(svg.text(0, middle, str(layer["layer"])))
        parts += _heads(layer, left, y, side, gap)
        parts.append(svg.text(heads_end + 3, middle, f"{layer['heads']}/{layer['dense_heads']}", "figure"))
        parts += _neurons(layer, (bar_start, bar_end), y, side, middle)
    height = top + len(layers) * row
    return svg.picture(width, height, _units_words(layers), parts, "marks")


def _heads(layer: dict[str, Any], left: float, y: float, side: float, gap: float) -> list[Markup]:
    squares = []
    for head, kept in enumerate(layer["head_kept"]):
        tip = f"layer {layer['layer']}, head {head}: {'kept' if kept else 'removed'}"
        class_ = "head kept" if kept else "head removed"
        squares.append(svg.bar(left + head * (side + gap), y, side, side, class_, tip))
    return squares


def _neurons(
    layer: dict[str, Any], span: tuple[float, float], y: float, side: float, middle: float
) -> list[Markup]:
    start, end = span
    share = layer["neurons"] / max(layer["dense_neurons"], 1)  # none where a compressed model came in
    tip = (
        f"layer {layer['layer']}: {count(layer['neurons'])} of {count(layer['dense_neurons'])} neurons kept "
        f"({percent(share)})"
    )
    figure = f"{count(layer['neurons'])}/{count(layer['dense_neurons'])}"
    is_narrow = side < 10
    return [
        svg.bar(start, y, end - start, side, "neurons removed", tip),
        svg.bar(start, y, share * (end - start), side, "neurons kept", tip),
        svg.text(end + 6, middle, count(layer["neurons"]) if is_narrow else figure, "figure"),
    ]


def _units_words(layers: list[dict[str, Any]]) -> str:
    return f"What stays in each of {len(layers)} layers. {units_kept(layers)}"


def units_kept(layers: list[dict[str, Any]]) -> str:
    """Say how many heads and neurons stay, and which sub-layers are empty."""
    heads, neurons = (sum(layer[key] for layer in layers) for key in ("heads", "neurons"))
    all_heads, all_neurons = (sum(layer[f"dense_{key}"] for layer in layers) for key in ("heads", "neurons"))
    words = f"{count(heads)} of {count(all_heads)} heads and {count(neurons)} of {count(all_neurons)} neurons stay."
    for key, name in (("heads", "attention head"), ("neurons", "neuron")):
        empty = [str(layer["layer"]) for layer in layers if layer[key] == 0]
        if empty:
            words += f" No {name} is left in layer{'s' if len(empty) > 1 else ''} {', '.join(empty)}."
    return words


def matrices_in_layers(layers: list[dict[str, Any]], width: float) -> Markup:
    """Draw a heat-map: one row a layer, one column a matrix, darker where more was removed."""
    is_narrow = width <= svg.NARROW
    left, row, top = (20.0, 24.0, 26.0) if is_narrow else (64.0, 28.0, 30.0)
    names = [name for name in MATRICES if any(name in (layer.get("matrix_ratio") or {}) for layer in layers)]
    cell = (width - left) / max(len(names), 1)
    parts = []
    for column, name in enumerate(names):
        label = _SHORT.get(name, MATRICES[name]) if is_narrow else MATRICES[name]
        parts.append(svg.text(left + (column + 0.5) * cell, 16, label, "axis", "middle"))
    for index, layer in enumerate(layers):
        y = top + index * row
        parts.append(svg.text(0, y + row / 2 + 3, str(layer["layer"])))
        for column, name in enumerate(names):
            ratio = (layer.get("matrix_ratio") or {}).get(name)
            if ratio is not None:
                parts += _cell(layer["layer"], name, ratio, (left + column * cell, y), (cell - 3, row - 3))
    title = f"Share of the weights removed from each matrix of {len(layers)} layers"
    return svg.picture(width, top + len(layers) * row, title, parts, "marks")


def _cell(
    layer: int, name: str, ratio: float, corner: tuple[float, float], size: tuple[float, float]
) -> list[Markup]:
    (x, y), (width, height) = corner, size
    tip = f"layer {layer}, {MATRICES[name]}: {100 * ratio:.1f}% of the weights removed"
    return [
        svg.element(
            "rect",
            svg.element("title", tip),
            x=x,
            y=y,
            width=width,
            height=height,
            rx=3,
            class_="cell",
            fill_opacity=0.05 + 0.95 * ratio,
        ),
        svg.text(x + width / 2, y + height / 2 + 4, percent(ratio), _cell_text(ratio), "middle"),
    ]


def _cell_text(ratio: float) -> str:
    """Return the class that keeps a cell's figure readable; light and dark pages turn at different shades."""
    return "cell-text" if ratio < 0.5 else "cell-text middling" if ratio < 0.82 else "cell-text full"
