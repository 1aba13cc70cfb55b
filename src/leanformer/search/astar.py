"""A* over sets of removed units, with a measured score as the test of a goal.

The estimate of what may yet leave is far too high for sets that are small, so that A* proper (weight 1) looks at
nearly all small sets before a large one. A weight below 1 goes deep first, as weighted A* does (Pohl 1970; anytime:
Hansen and Zhou 2007), and what it finds is known to be the largest only once nothing is left to try.
"""

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
    weight: float = 1.0,
    on_expansion: Callable[[Found[Unit]], None] = lambda found: None,
) -> Found[Unit]:
    """Return the largest set of units without which the score stays at or above a bound.

    It starts from no unit and, with a weight below 1, from as many of the first ones as keep the bound as well. From
    one start each set is reached once: of the units that a set was tried with, the one of best score may be joined
    by all others, the next one by all but it, and so on.

    Args:
        units: What may leave, first to be tried first.
        evaluate: Gives the score without a set.
        least: The bound.
        expansions: After so many sets the deepest one so far is returned.
        width: How many units a set is tried with at a time.
        most: A set of this size is large enough.
        weight: Of what may yet leave, in (0, 1]: how far the order of trial trusts that it will.
        on_expansion: Called after each, for a progress bar.

    Returns:
        The set.
    """
    known: dict[frozenset[Unit], float] = {}

    def score(removed: frozenset[Unit]) -> float:
        if removed not in known:
            known[removed] = evaluate(removed)
        return known[removed]

    def rank(node: Node[Unit]) -> tuple[float, int, float, int]:
        hope = len(node.removed) + weight * len(node.open)
        return (-hope, -len(node.removed), -node.score, -next(order))  # of equals the deeper one

    start, order = Node(frozenset(), tuple(units), score(frozenset())), count()
    found = Found(start.removed, start.score, path=[(0, start.score)])
    starts = [start] if weight == 1 else [start, *_first_units(units, score, least, most)]
    queue: list[tuple[tuple[float, int, float, int], Node[Unit]]] = []
    for node in starts:
        _note(found, node)
        heapq.heappush(queue, (rank(node), node))
    while queue and found.expanded < expansions and len(found.removed) < (most or len(units)):
        _, node = heapq.heappop(queue)
        if node.promise <= len(found.removed):  # it can not become larger than the set at hand
            continue
        found.expanded += 1
        for child in _children(node, score, least, width):
            _note(found, child)
            heapq.heappush(queue, (rank(child), child))
        on_expansion(found)
    found.finished = all(node.promise <= len(found.removed) for _, node in queue)
    return found


def _note(found: Found[Unit], node: Node[Unit]) -> None:
    """Keep a set that is larger than the largest so far."""
    if len(node.removed) > len(found.removed):
        found.removed, found.score = node.removed, node.score
        found.path.append((len(node.removed), node.score))


def _first_units(
    units: Sequence[Unit], score: Callable[[frozenset[Unit]], float], least: float, most: int | None
) -> list[Node[Unit]]:
    """Return as many of the first units as keep the bound, by halving, which asks for log2(units) scores; or none."""
    fine, broken = 0, (len(units) if most is None else most) + 1
    while broken - fine > 1:
        middle = (fine + broken) // 2
        if score(frozenset(units[:middle])) >= least:
            fine = middle
        else:
            broken = middle
    first = frozenset(units[:fine])
    return [Node(first, tuple(units[fine:]), score(first))] if fine else []


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
