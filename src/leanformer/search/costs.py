"""What levels cost under one or several constraints at once, and which single steps change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.int64]


@dataclass(frozen=True)
class Limit:
    """A constraint beside the pruning ratio, in a unit of its own.

    Attributes:
        name: What is limited, for people: "weights", "milliseconds".
        costs: Per group, what its levels 0, 1, ... cost, (levels + 1,), never falling.
        most: What all groups together may cost.
    """

    name: str
    costs: tuple[tuple[float, ...], ...]
    most: float


class Costs:
    """The costs of all groups at all levels, under one or several constraints.

    Args:
        tables: One table a constraint, each with one row a group, (levels + 1,); the first constraint leads.
        budgets: What all groups may cost under each constraint.
    """

    def __init__(self, tables: Sequence[Sequence[Sequence[float]]], budgets: Sequence[float]) -> None:
        most = max(len(row) for row in tables[0])
        self.tables = np.array(
            [[np.pad(row, (0, most - len(row)), mode="edge") for row in table] for table in tables]
        )  # (constraints, groups, most levels + 1), rows filled up with their last
        self.tops: Levels = np.array([len(row) - 1 for row in tables[0]])
        self.totals = self.tables[:, :, -1].sum(axis=1)  # (constraints,)
        self.budgets = np.asarray(budgets, dtype=np.float64)
        self.rows = np.arange(len(self.tops))
        self._up, self._down = self._steps()

    def spent(self, levels: Sequence[int] | Levels) -> NDArray[np.float64]:
        """Return what levels cost under each constraint, (constraints,)."""
        spent: NDArray[np.float64] = self.tables[:, self.rows, np.asarray(levels)].sum(axis=1)
        return spent

    def spent_by_shares(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what kept shares cost, (groups,) in [0, 1]; between two levels in proportion, (constraints,)."""
        wished = shares * self.tops
        below = np.minimum(wished.astype(int), self.tops)
        low = self.tables[:, self.rows, below]
        high = self.tables[:, self.rows, np.minimum(below + 1, self.tops)]
        spent: NDArray[np.float64] = (low + (wished - below) * (high - low)).sum(axis=1)
        return spent

    def excess(self, spent: NDArray[np.float64]) -> float:
        """Return how far the tightest constraint is overdrawn, as a share of its total; below 0 something is left.

        Args:
            spent: Cost under each constraint, (constraints,).

        Returns:
            A share; 0 where the tightest constraint is met exactly.
        """
        return float(((spent - self.budgets) / self.totals).max())

    def step(self, levels: Levels, direction: int, least: int) -> Levels:
        """Return where each group's next step leads: over a plateau, where levels cost the same, in one step.

        Args:
            levels: Levels kept, (groups,).
            direction: 1 keeps more, -1 keeps less.
            least: The lowest level that is allowed.

        Returns:
            (groups,); a group's own level where it can not go on.
        """
        table = self._up if direction > 0 else self._down
        return np.maximum(table[self.rows, levels], np.minimum(levels, least))

    def excess_after(self, levels: Levels, moved: Levels) -> NDArray[np.float64]:
        """Return the excess after each group alone has moved, (groups,)."""
        change = self.tables[:, self.rows, moved] - self.tables[:, self.rows, levels]  # (constraints, groups)
        after = self.spent(levels)[:, None] + change
        excess: NDArray[np.float64] = ((after - self.budgets[:, None]) / self.totals[:, None]).max(axis=0)
        return excess

    def plateau_top(self, levels: Levels) -> Levels:
        """Return the highest level of each group that costs no more than the given one under any constraint."""
        same = (self.tables <= self.tables[:, self.rows, levels][:, :, None]).all(axis=0)  # (groups, levels)
        levels_of = np.arange(same.shape[1])
        within = same & (levels_of <= self.tops[:, None])
        return np.where(within, levels_of, 0).max(axis=1)

    def _steps(self) -> tuple[Levels, Levels]:
        """Return the next level up and down that costs something else, (groups, levels) each."""
        table = self.tables[0]
        up, down = np.zeros(table.shape, dtype=int), np.zeros(table.shape, dtype=int)
        for row, top in enumerate(self.tops):
            costs = table[row, : top + 1]
            for level in range(table.shape[1]):
                here = costs[min(level, top)]
                dearer, cheaper = costs[costs > here], np.flatnonzero(costs < here)
                up[row, level] = np.flatnonzero(costs == dearer[0])[-1] if len(dearer) else top
                down[row, level] = cheaper[-1] if len(cheaper) else min(level, top)
        return up, down
