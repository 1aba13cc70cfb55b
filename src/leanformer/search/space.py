"""What a search chooses from: how much of each group of units stays, under one overall pruning ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from leanformer.errors import BudgetError
from leanformer.search.costs import Costs, Limit

Candidate = tuple[int, ...]
"""Levels kept, one number a group of the space."""

TOLERANCE = 0.005
"""A candidate's pruning ratio lies within half a percentage point of the target (EagleEye's rule, too)."""

TIME_TOLERANCE = 0.02
"""Runtimes have steps, so that a budget of milliseconds is met less closely; finalists are timed anyway."""

NEGLIGIBLE = 1e-12
"""A share of the total that is rounding, not money."""

WAVES = 3
"""Cosines of which a random candidate's profile over the depth is made, the k-th 1/k as high as the first."""


@dataclass(frozen=True)
class Group:
    """Units that compete among themselves: the heads of a layer, its FFN neurons, or the weights of a matrix.

    Attributes:
        layer: Index of the layer.
        kind: "head", "neuron", or the name of a matrix.
        units: How many units there are.
        levels: In how many equal steps they can be kept (a step is units / levels units).
        cost: What one level costs: encoder weights, or milliseconds.
        curve: What the levels 0, 1, ... cost, (levels + 1,), from 0 and never falling, where they do not cost the
            same: a runtime's milliseconds have steps. `cost` is their mean then.
    """

    layer: int
    kind: str
    units: int
    levels: int
    cost: float
    curve: tuple[float, ...] | None = None

    @property
    def costs(self) -> NDArray[np.float64]:
        """What each level costs, (levels + 1,)."""
        steps = [self.cost * level for level in range(self.levels + 1)] if self.curve is None else self.curve
        return np.array(steps, dtype=np.float64)

    def kept(self, level: int) -> int:
        """Return how many units a level keeps."""
        return round(self.units * level / self.levels)


@dataclass(frozen=True)
class Space:
    """All candidates of a model under an overall pruning ratio.

    Attributes:
        groups: What can be pruned.
        pruning_ratio: Share of the groups' cost to remove.
        least: Fewest levels that each group keeps.
        limits: Further constraints, each in a unit of its own; the tightest of all is met.
        tolerance: How far the tightest constraint may be missed, as a share of its total.
        reach: What share of all that the budget counts the groups cost: tokens can not leave before the first
            attention.
    """

    groups: tuple[Group, ...]
    pruning_ratio: float
    least: int = 0
    limits: tuple[Limit, ...] = ()
    tolerance: float = TOLERANCE
    reach: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a ratio that no candidate can reach."""
        if not self.fits(self.project(np.full(len(self.groups), 1 - self.pruning_ratio))):
            raise BudgetError(
                f"a pruning ratio of {self.pruning_ratio:g} can not be reached within half a percentage point with "
                f"the {len(self.groups)} groups of this model: choose another ratio, or granularity weight"
            )

    @property
    def levels(self) -> NDArray[np.int64]:
        """Levels of each group, (groups,)."""
        return np.array([group.levels for group in self.groups])

    @cached_property
    def costs(self) -> Costs:
        """What levels cost, under the pruning ratio and the limits beside it."""
        tables = [[group.costs.tolist() for group in self.groups], *(limit.costs for limit in self.limits)]
        whole = sum(row[-1] for row in tables[0])
        return Costs(tables, [(1.0 - self.pruning_ratio) * whole, *(limit.most for limit in self.limits)])

    @property
    def total(self) -> float:
        """Cost of all groups together."""
        return float(self.costs.totals[0])

    def cost(self, levels: Sequence[int] | NDArray[np.int64]) -> float:
        """Return what a candidate costs."""
        return float(self.costs.spent(levels)[0])

    def ratio(self, candidate: Candidate) -> float:
        """Return the share that a candidate removes of all that the budget counts."""
        return self.reach * (1.0 - self.cost(candidate) / self.total)

    def fits(self, candidate: Candidate) -> bool:
        """Whether a candidate meets the tightest constraint within the tolerance."""
        return abs(self.costs.excess(self.costs.spent(candidate))) <= self.tolerance

    def shares(self, candidate: Candidate) -> NDArray[np.float64]:
        """Return the kept share of each group, (groups,), in [0, 1]."""
        return np.asarray(candidate) / self.levels

    def project(self, shares: NDArray[np.float64]) -> Candidate:
        """Return the candidate under the constraint that is closest to wished shares.

        One number is added to all shares, found by bisection; then they are rounded to levels, and single levels
        move until the budget is met as closely as the levels allow.

        Args:
            shares: Wished kept share of each group, (groups,); any real numbers.

        Returns:
            A candidate of this space.
        """
        low, high = -1.0 - float(shares.max()), 1.0 - float(shares.min())
        for _ in range(50):
            middle = (low + high) / 2
            left = self._excess(self._clip(shares + middle)) < 0
            low, high = (middle, high) if left else (low, middle)
        return self._settle(self._clip(shares + high) * self.levels)

    def uniform(self) -> Candidate:
        """Return the candidate that prunes each group by the same ratio."""
        return self.project(np.full(len(self.groups), 1.0 - self.pruning_ratio))

    def at(self, pruning_ratio: float) -> Candidate:
        """Return the uniform candidate at another, smaller ratio: a step of a gradual schedule.

        Args:
            pruning_ratio: The ratio of the step; from the space's own ratio on it is `uniform()`.

        Returns:
            Levels kept, one a group: never fewer than at a higher ratio.
        """
        final = self.uniform()
        if pruning_ratio >= self.pruning_ratio:
            return final
        wished = [math.ceil(group.levels * (1.0 - pruning_ratio)) for group in self.groups]
        return tuple(max(level, wish) for level, wish in zip(final, wished, strict=True))

    def random(self, generator: np.random.Generator) -> Candidate:
        """Return a random candidate under the constraint: AE-BERT's idea, after EagleEye's sampling.

        EagleEye draws r_l ~ U(0, 1) a layer and rejects what misses the target. With two dozen groups hardly any
        draw meets it, so ours are shifted onto the constraint instead. Independent draws are all alike, though:
        their sums over the early and over the late layers hardly differ. So a wave over the depth and a preference
        for each kind of group are drawn beside the noise, and how far all three carry from uniform.

        Args:
            generator: The source of randomness.

        Returns:
            A candidate.
        """
        spread = generator.uniform(0.1, 1.0)
        depth = np.array([group.layer + 0.5 for group in self.groups])
        waves = np.arange(1, WAVES + 1)
        heights = generator.standard_normal(WAVES) / waves
        wave = np.cos(np.pi * np.outer(depth / (depth.max() + 0.5), waves)) @ heights  # (groups,)
        names, kinds = np.unique([group.kind for group in self.groups], return_inverse=True)
        preference = generator.uniform(-0.5, 0.5, len(names))[kinds]
        noise = generator.uniform(-1, 1, len(self.groups))
        return self.project((1 - self.pruning_ratio) * (1 + spread * (wave + preference + noise)))

    def swap(self, candidate: Candidate, generator: np.random.Generator) -> Candidate:
        """Return a neighbour: what one group gives up, another receives, the budget stays.

        After EvoPress (ICML 2025): min(U{1..3}, U{1..3}) swaps a step. Groups differ in cost here, so the levels
        moved are chosen to balance.

        Args:
            candidate: Where to start.
            generator: The source of randomness.

        Returns:
            Another candidate under the constraint; the same one where there is a single group.
        """
        if len(self.groups) < 2:
            return candidate
        levels, top = np.array(candidate), self.levels
        for _ in range(int(min(generator.integers(1, 4), generator.integers(1, 4)))):
            giver, taker = generator.choice(len(self.groups), size=2, replace=False)
            given_costs, taken_costs = self.groups[giver].costs, self.groups[taker].costs
            has, lacks = given_costs[levels[giver]], taken_costs[levels[taker]]
            stake = generator.uniform(0.05, 0.35) * max(given_costs[-1], taken_costs[-1])
            fewer = max(self.least, min(levels[giver] - 1, _nearest(given_costs, has - stake)))
            more = min(top[taker], _nearest(taken_costs, lacks + has - given_costs[fewer]))
            if fewer < levels[giver] and more > levels[taker]:
                paid = _nearest(given_costs, has - (taken_costs[more] - lacks))
                levels[giver] = max(fewer, min(levels[giver] - 1, paid))
                levels[taker] = more
        return self._settle(levels)

    def _excess(self, shares: NDArray[np.float64]) -> float:
        return self.costs.excess(self.costs.spent_by_shares(shares))

    def _clip(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(shares, self.least / self.levels, 1.0)

    def spent(self, shares: NDArray[np.float64]) -> float:
        """Return what kept shares of the groups cost, (groups,) in [0, 1]; between two levels in proportion."""
        return float(self.costs.spent_by_shares(shares)[0])

    def overdrawn(self, shares: NDArray[np.float64]) -> bool:
        """Whether kept shares cost more than a constraint allows."""
        return self._excess(shares) > 0

    def movable(self, levels: NDArray[np.int64], moved: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which groups can take the next step alone.

        Args:
            levels: Levels kept, (groups,).
            moved: Where each group's next step leads, (groups,).

        Returns:
            (groups,); false where a group can not go on.
        """
        steps: NDArray[np.bool_] = moved != levels
        return steps

    def _settle(self, wished: NDArray[np.floating]) -> Candidate:
        """Round wished levels, then move single ones until no move comes closer to the budget.

        Of moves that come equally close, the group furthest from its wish moves: a correction is spread over the
        layers, not heaped on the first.
        """
        levels = np.rint(wished).astype(int)
        for _ in range(4 * len(self.groups)):
            error = self.costs.excess(self.costs.spent(levels))  # > 0: too much is kept
            direction = -1 if error > 0 else 1
            moved = self.costs.step(levels, direction, self.least)
            after = np.where(
                self.movable(levels, moved), np.abs(self.costs.excess_after(levels, moved)), np.inf
            )
            if after.min() >= abs(error) - NEGLIGIBLE:
                break
            equal = np.flatnonzero(np.isclose(after, after.min(), rtol=1e-9, atol=NEGLIGIBLE))
            group = equal[np.argmax(direction * (wished - levels)[equal])]
            levels[group] = moved[group]
        return tuple(int(level) for level in self.costs.plateau_top(levels))


def _nearest(costs: NDArray[np.float64], wanted: float) -> int:
    """Return the level whose cost is closest, the lowest of equal ones."""
    return int(np.argmin(np.abs(costs - wanted)))


def fewest_units(ratio: float, units: int) -> int:
    """Return the fewest of so many equal units whose removal reaches a ratio, within its tolerance."""
    return math.ceil((ratio - TOLERANCE) * units - NEGLIGIBLE)


def allocation(space: Space, scores: Mapping[tuple[int, str], NDArray[np.float64]]) -> Candidate:
    """Return the allocation that one global threshold on unit scores gives, put onto the constraint.

    Args:
        space: The space.
        scores: Score of each unit, (units,), comparable across groups; for matrices, a sorted sample suffices.

    Returns:
        The candidate; the units themselves are not chosen here.
    """
    ordered = [np.sort(scores[group.layer, group.kind]) for group in space.groups]
    values = np.unique(np.concatenate(ordered))
    low, high = 0, len(values) - 1
    while low < high:  # the smallest threshold that spends no more than the budget
        middle = (low + high) // 2
        kept = np.array([1 - np.searchsorted(group, values[middle]) / len(group) for group in ordered])
        if space.overdrawn(kept):
            low = middle + 1
        else:
            high = middle
    return space.project(
        np.array([1 - np.searchsorted(group, values[low]) / len(group) for group in ordered])
    )
