"""Which probes make a table: all numbers of heads, a grid of widths, and what tells layers from the rest."""

from __future__ import annotations

from typing import Literal

from leanformer.measure.latency.table import Shape, Subject

GRID = 8
"""FFN widths are measured in steps of an eighth."""

SMALLER = (0.75, 0.5, 0.25, 0.125)

MULTIPLES = (1, 4, 8, 16, 32, 64)
"""Just under half the width, a width is measured that is a multiple of each of these, and of no larger power of 2."""


BRIEF_MULTIPLES = (8, 32)

Plan = Literal["full", "brief", "dense"]
"""full: for people, with every step in it; brief: for a search, which needs no more; dense: for the whole model."""


def grid_widths(width: int) -> list[int]:
    """Return the widths in steps of an eighth, from 0 to the full one."""
    return sorted({round(width * step / GRID) for step in range(GRID + 1)})


def ragged_widths(width: int) -> dict[int, int]:
    """Return by multiple the width that shows it: the full one's half, less the multiple.

    Half of a usual width is a multiple of 128, so that half - 32 is a multiple of 32 and not of 64.

    Args:
        width: Neurons of the dense layer.

    Returns:
        For 1536 for example {1: 767, 4: 764, 8: 760, 16: 752, 32: 736, 64: 704}; multiples that the width is too
        small or too odd for are absent.
    """
    half = width // 2
    return {
        multiple: half - multiple
        for multiple in MULTIPLES
        if half - multiple > 0 and half % (2 * multiple) == 0
    }


def probes(subject: Subject, plan: Plan = "full") -> list[Shape]:
    """Return the probes in the order in which they are measured, so that an unfinished table is of most use.

    Heads vary beside a full FFN, widths beside full attention. Layers without one of the two, and a model of one
    layer, tell attention, FFN and the rest apart. Layers that are smaller in both show how far the sum of the parts
    is from the whole.

    Args:
        subject: What the table is of.
        plan: How much is wanted. Time is so nearly linear in heads and widths that a brief table foretells whole
            models as well as a full one (benchmarks/latency_prediction.py --plan).

    Returns:
        Shapes, each once; the dense one, which all are timed against, is not among them.
    """
    heads, width, layers = subject.heads, subject.width, subject.layers
    anchors = [Shape(0, width, layers), Shape(heads, 0, layers), Shape(heads, width, 1)]
    is_full, grid = plan == "full", grid_widths(width)
    widths = grid if is_full else [grid[len(grid) // 2], grid[len(grid) // 4]]
    fewer = range(heads) if is_full else [1, heads // 2]
    multiples = MULTIPLES if is_full else BRIEF_MULTIPLES
    ragged = [some for multiple, some in ragged_widths(width).items() if multiple in multiples]
    dense = Shape(heads, width, layers)
    parts = [Shape(heads, some, layers) for some in reversed(widths)]
    parts += [Shape(some, width, layers) for some in reversed(fewer)]
    parts += [Shape(heads, some, layers) for some in ragged]
    shapes = anchors if plan == "dense" else [*anchors, *smaller_layers(subject), *parts]
    return [shape for shape in dict.fromkeys(shapes) if shape != dense]


def smaller_layers(subject: Subject) -> list[Shape]:
    """Return the probes whose layers keep the same share of heads and of neurons, three quarters to an eighth."""
    heads, width = subject.heads, subject.width
    return [
        Shape(max(1, round(heads * share)), max(1, round(width * share)), subject.layers)
        for share in SMALLER
        if heads > 1 and width > 1
    ]
