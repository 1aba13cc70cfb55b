"""The knapsack finds what trying every allocation finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from leanformer.search.knapsack import cheapest_allocation
from leanformer.search.space import Group, Space


def random_errors(space: Space, seed: int) -> list[np.ndarray]:
    """Errors that fall with each level kept, to zero, at group-specific speeds."""
    generator = np.random.default_rng(seed)
    return [
        np.append(np.cumsum(generator.exponential(generator.uniform(0.1, 3), group.levels))[::-1], 0.0)
        for group in space.groups
    ]


def total(errors: list[np.ndarray], candidate: tuple[int, ...]) -> float:
    return float(sum(error[level] for error, level in zip(errors, candidate, strict=True)))


def best_by_trying(space: Space, errors: list[np.ndarray]) -> tuple[int, ...]:
    budget = (1 - space.pruning_ratio) * space.total
    every = itertools.product(*(range(space.least, group.levels + 1) for group in space.groups))
    return min(
        (c for c in every if space.cost(c) <= budget + 1e-9),
        key=lambda c: total(errors, c),
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("least", [0, 1])
def test_equals_brute_force(seed, least):
    groups = tuple(Group(layer, "head", 4, 4, 1.0) for layer in range(5))
    space = Space(groups, 0.5, least)
    errors = random_errors(space, seed)
    assert cheapest_allocation(space, errors) == best_by_trying(space, errors)


@pytest.mark.parametrize("seed", range(8))
def test_equals_brute_force_where_units_differ_in_cost(seed):
    groups = tuple(
        group
        for layer in range(2)
        for group in (Group(layer, "head", 4, 4, 2.0), Group(layer, "neuron", 8, 8, 1.0))
    )
    space = Space(groups, 0.5)
    errors = random_errors(space, seed)
    assert cheapest_allocation(space, errors) == best_by_trying(space, errors)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
def test_large_spaces_are_met_and_not_worse_than_uniform(ratio):
    groups = tuple(
        group
        for layer in range(12)
        for group in (Group(layer, "head", 12, 12, 49152.0), Group(layer, "neuron", 1536, 48, 24576.0))
    )
    space = Space(groups, ratio)
    errors = random_errors(space, 1)
    found = cheapest_allocation(space, errors)
    assert space.fits(found)
    assert total(errors, found) < total(errors, space.uniform())


def test_an_expensive_group_is_kept_whole():
    space = Space((Group(0, "head", 4, 4, 1.0), Group(1, "head", 4, 4, 1.0)), 0.5)
    cheap, dear = np.array([4.0, 3, 2, 1, 0]) / 100, np.array([4.0, 3, 2, 1, 0])
    assert cheapest_allocation(space, [cheap, dear]) == (0, 4)
