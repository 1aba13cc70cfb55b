"""A* over sets of removed units, with a measured score as the test of a goal."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Unit = TypeVar("Unit")


@dataclass(frozen=True)
class Node(Generic[Unit]):
    """A set of removed units, and what may yet leave.

    Attributes:
        removed: The units that are gone; the score without them keeps the bound.
        open: Units that are not known to break the bound beside these, first to be tried first.
        score: What was measured without the removed units.
    """

    removed: frozenset[Unit]
    open: tuple[Unit, ...]
    score: float

    @property
    def promise(self) -> int:
        """Units removed, and units that may yet leave: f = g + h.

        Never too low where what breaks the bound in a smaller set breaks it in a larger one, too.
        """
        return len(self.removed) + len(self.open)


@dataclass
class Found(Generic[Unit]):
    """What a search found.

    Attributes:
        removed: The largest set that keeps the bound.
        score: What was measured without it.
        expanded: How many sets were tried to be made larger.
        finished: Whether no larger set is promised any more; else the search was cut short.
        path: Score by units removed, at the deepest set so far.
    """

    removed: frozenset[Unit]
    score: float
    expanded: int = 0
    finished: bool = False
    path: list[tuple[int, float]] = field(default_factory=list)


def largest_set(
    units: Sequence[Unit],
    evaluate: Callable[[frozenset[Unit]], float],
    least: float,
    expansions: int,
    width: int,
    most: int | None = None,
    on_expansion: Callable[[Found[Unit]], None] = lambda found: None,
) -> Found[Unit]:
    """Return the largest set of units without which the score stays at or above a bound.

    Each set is reached once: of the units that a set was tried with, the one of best score may be joined by all
    others, the next one by all but it, and so on.

    Args:
        units: What may leave, first to be tried first.
        evaluate: Gives the score without a set.
        least: The bound.
        expansions: After so many sets the deepest one so far is returned.
        width: How many units a set is tried with at a time.
        most: A set of this size is large enough.
        on_expansion: Called after each, for a progress bar.

    Returns:
        The set.
    """
    start = Node(frozenset(), tuple(units), evaluate(frozenset()))
    found = Found(start.removed, start.score, path=[(0, start.score)])
    order, queue = count(), [(-start.promise, -start.score, 0, start)]
    while queue and found.expanded < expansions:
        *_, node = heapq.heappop(queue)
        if node.promise <= len(found.removed):  # no set is promised to be larger than the one at hand
            found.finished = True
            return found
        found.expanded += 1
        for child in _children(node, evaluate, least, width):
            if len(child.removed) > len(found.removed):
                found.removed, found.score = child.removed, child.score
                found.path.append((len(child.removed), child.score))
            heapq.heappush(queue, (-child.promise, -child.score, -next(order) - 1, child))
        on_expansion(found)
        if most is not None and len(found.removed) >= most:
            return found
    found.finished = not queue
    return found


def _children(
    node: Node[Unit], evaluate: Callable[[frozenset[Unit]], float], least: float, width: int
) -> list[Node[Unit]]:
    """Return the sets with one unit more, and the node itself without the units that were tried."""
    tried, untried = node.open[:width], node.open[width:]
    scores = {unit: evaluate(node.removed | {unit}) for unit in tried}
    within = sorted((unit for unit in tried if scores[unit] >= least), key=lambda unit: -scores[unit])
    children = [
        Node(node.removed | {unit}, (*within[place + 1 :], *untried), scores[unit])
        for place, unit in enumerate(within)
    ]
    return [*children, Node(node.removed, untried, node.score)] if untried else children
