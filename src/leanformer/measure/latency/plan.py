"""Which probes make a table: all numbers of heads, a grid of widths, and what tells layers from the rest."""

from __future__ import annotations

from leanformer.measure.latency.table import Shape, Subject

GRID = 8
"""FFN widths are measured in steps of an eighth."""

MULTIPLES = (1, 4, 8, 16, 32, 64)
"""Just under half the width, a width is measured that is a multiple of each of these, and of no larger power of 2."""


def grid_widths(width: int) -> list[int]:
    """Return the widths in steps of an eighth, from 0 to the full one."""
    return sorted({round(width * step / GRID) for step in range(GRID + 1)})


def ragged_widths(width: int) -> dict[int, int]:
    """Return by multiple the width that shows it: the full one's half, less the multiple.

    Half of a usual width is a multiple of 128, so that half - 32 is a multiple of 32 and not of 64.

    Args:
        width: Neurons of the dense layer.

    Returns:
        For 1536 for example {1: 767, 4: 764, 8: 760, 16: 752, 32: 736, 64: 704}; multiples that the width is too small
        or too odd for are absent.
    """
    half = width // 2
    return {
        multiple: half - multiple
        for multiple in MULTIPLES
        if half - multiple > 0 and half % (2 * multiple) == 0
    }


def probes(subject: Subject) -> list[Shape]:
    """Return the probes in the order in which they are measured, so that an unfinished table is of most use.

    Heads vary beside a full FFN, widths beside full attention. Layers without one of the two, and a model of one
    layer, tell attention, FFN and the rest apart.

    Args:
        subject: What the table is of.

    Returns:
        Shapes, each once; the dense one, which all are timed against, is not among them.
    """
    heads, width, layers = subject.heads, subject.width, subject.layers
    anchors = [Shape(0, width, layers), Shape(heads, 0, layers), Shape(heads, width, 1)]
    grid = [Shape(heads, some, layers) for some in reversed(grid_widths(width))]
    fewer = [Shape(some, width, layers) for some in reversed(range(heads))]
    ragged = [Shape(heads, some, layers) for some in ragged_widths(width).values()]
    dense = Shape(heads, width, layers)
    return [shape for shape in dict.fromkeys([*anchors, *grid, *fewer, *ragged]) if shape != dense]
