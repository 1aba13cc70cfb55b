"""Every candidate that any generator makes meets the pruning ratio within half a percentage point."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leanformer.errors import BudgetError
from leanformer.search.space import TOLERANCE, Group, Space, allocation


def unit_groups(layers: int, heads: int = 12, hidden: int = 384, width: int = 1536) -> tuple[Group, ...]:
    head_cost, neuron_cost = 4 * hidden * hidden // heads, 2 * hidden
    return tuple(
        group
        for layer in range(layers)
        for group in (
            Group(layer, "head", heads, heads, head_cost),
            Group(layer, "neuron", width, 48, neuron_cost * width / 48),
        )
    )


def matrix_groups(layers: int, hidden: int = 384, width: int = 1536) -> tuple[Group, ...]:
    sizes = {name: hidden * hidden for name in ("query", "key", "value", "attention_out")}
    sizes |= {name: hidden * width for name in ("ffn_in", "ffn_out")}
    return tuple(
        Group(layer, name, size, 64, size / 64) for layer in range(layers) for name, size in sizes.items()
    )


SPACES = {
    "12 layers": (unit_groups(12), 0),
    "6 layers": (unit_groups(6), 0),
    "6 wide layers": (unit_groups(6, hidden=768, width=3072), 0),
    "matrices": (matrix_groups(6), 1),
}
spaces = st.builds(
    lambda name, ratio: Space(SPACES[name][0], ratio, SPACES[name][1]),
    st.sampled_from(sorted(SPACES)),
    st.floats(0.1, 0.95),
)
seeds = st.integers(0, 2**32 - 1)


def assert_in_space(space: Space, candidate: tuple[int, ...]) -> None:
    kept = sum(level * group.cost for level, group in zip(candidate, space.groups, strict=True))
    whole = sum(group.levels * group.cost for group in space.groups)
    assert abs(1 - kept / whole - space.pruning_ratio) <= TOLERANCE
    assert space.fits(candidate)
    assert all(
        space.least <= level <= group.levels for level, group in zip(candidate, space.groups, strict=True)
    )
    assert all(type(level) is int for level in candidate)


@settings(max_examples=40, deadline=None)
@given(spaces)
def test_uniform_meets_the_ratio_and_stays_within_a_level_of_it(space):
    candidate = space.uniform()
    assert_in_space(space, candidate)
    for kind in {group.kind for group in space.groups}:
        levels = [level for level, group in zip(candidate, space.groups, strict=True) if group.kind == kind]
        assert max(levels) - min(levels) <= 1


@settings(max_examples=40, deadline=None)
@given(spaces, seeds)
def test_random_meets_the_ratio(space, seed):
    assert_in_space(space, space.random(np.random.default_rng(seed)))


@settings(max_examples=40, deadline=None)
@given(spaces, seeds)
def test_project_meets_the_ratio_from_anywhere(space, seed):
    generator = np.random.default_rng(seed)
    assert_in_space(space, space.project(generator.normal(0, 3, len(space.groups))))
    one_hot = np.zeros(len(space.groups))
    one_hot[seed % len(one_hot)] = 50.0
    assert_in_space(space, space.project(one_hot))


@settings(max_examples=40, deadline=None)
@given(spaces, seeds)
def test_swaps_keep_the_budget(space, seed):
    generator = np.random.default_rng(seed)
    candidate = space.random(generator)
    for _ in range(6):
        candidate = space.swap(candidate, generator)
        assert_in_space(space, candidate)


@settings(max_examples=30, deadline=None)
@given(spaces, seeds)
def test_allocation_meets_the_ratio(space, seed):
    generator = np.random.default_rng(seed)
    scores = {
        (group.layer, group.kind): generator.lognormal(generator.normal(), 0.5, min(group.units, 200))
        for group in space.groups
    }
    assert_in_space(space, allocation(space, scores))


@pytest.mark.parametrize("name", sorted(SPACES))
def test_nearly_all_swaps_change_something(name):
    space, generator = Space(SPACES[name][0], 0.6, SPACES[name][1]), np.random.default_rng(0)
    start = space.random(generator)
    neighbours = [space.swap(start, generator) for _ in range(50)]
    assert sum(neighbour != start for neighbour in neighbours) >= 40
    assert len(set(neighbours)) >= 30


@pytest.mark.parametrize("name", sorted(SPACES))
def test_random_candidates_differ_and_spread(name):
    space = Space(SPACES[name][0], 0.5, SPACES[name][1])
    generator = np.random.default_rng(0)
    found = [space.random(generator) for _ in range(20)]
    spreads = [space.shares(candidate).std() for candidate in found]
    assert len(set(found)) == 20
    assert min(spreads) < 0.1 < max(spreads)


def test_a_single_group_has_one_candidate() -> None:
    space = Space((Group(0, "token", 64, 64, 1.0),), 0.5)
    (only,) = {space.uniform(), space.random(np.random.default_rng(0))}
    assert space.swap(only, np.random.default_rng(0)) == only


def test_same_seed_same_candidates():
    space = Space(unit_groups(12), 0.7)

    def draw(seed: int) -> list[tuple[int, ...]]:
        generator = np.random.default_rng(seed)
        found = [space.random(generator) for _ in range(5)]
        return found + [space.swap(candidate, generator) for candidate in found]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_the_uniform_correction_is_spread_over_layers():
    heads = Space(unit_groups(12), 0.7).uniform()[::2]  # 0.3 of 12 heads is 3.6: not all layers can keep 4
    assert sorted(set(heads)) == [3, 4]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(SPACES)),
    st.floats(0.15, 0.95),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8),
)
def test_a_rising_ratio_never_gives_back(name, final, parts):
    space = Space(SPACES[name][0], final, SPACES[name][1])
    steps = [space.at(final * part) for part in sorted(parts)] + [space.at(final)]
    for before, after in itertools.pairwise(steps):
        assert all(now <= earlier for earlier, now in zip(before, after, strict=True))
    assert steps[-1] == space.uniform()
    assert space.at(0.0) == tuple(group.levels for group in space.groups)


def test_an_allocation_is_a_global_threshold():
    groups = (Group(0, "head", 4, 4, 1.0), Group(1, "head", 4, 4, 1.0))
    scores = {(0, "head"): np.array([9.0, 1.0, 8.0, 7.0]), (1, "head"): np.array([2.0, 6.0, 0.5, 0.1])}
    assert allocation(Space(groups, 0.5), scores) == (3, 1)
    assert allocation(Space(groups, 0.25), scores) == (4, 2)


@pytest.mark.parametrize(
    ("groups", "ratio", "least"),
    [
        ((Group(0, "head", 2, 2, 1.0),), 0.3, 0),
        (matrix_groups(2), 0.995, 1),
        ((Group(0, "head", 4, 4, 1.0),), 0.9, 0),
    ],
)
def test_a_ratio_that_can_not_be_reached_is_refused(groups, ratio, least):
    with pytest.raises(
        BudgetError, match=rf"pruning ratio of {ratio} can not be reached.*choose another ratio"
    ):
        Space(groups, ratio, least)


def test_a_level_keeps_its_share_of_the_units():
    group = Group(0, "neuron", 1536, 48, 1.0)
    assert [group.kept(level) for level in (0, 1, 24, 48)] == [0, 32, 768, 1536]


def stepped(layers: int = 6) -> tuple[Group, ...]:
    """Groups whose levels do not cost the same: a runtime likes every fourth width, and two heads cost as one."""
    heads = tuple(0.3 * (level + level % 2) for level in range(13))
    neurons = tuple(0.1 * 4 * -(-level // 4) for level in range(49))
    return tuple(
        group
        for layer in range(layers)
        for group in (
            Group(layer, "head", 12, 12, heads[-1] / 12, heads),
            Group(layer, "neuron", 1536, 48, neurons[-1] / 48, neurons),
        )
    )


@given(st.sampled_from([0.3, 0.5, 0.7]), seeds)
@settings(max_examples=40, deadline=None)
def test_costs_with_steps_are_met_too(ratio: float, seed: int) -> None:
    space, generator = Space(stepped(), ratio), np.random.default_rng(seed)
    candidate = space.random(generator)
    for made in (candidate, space.swap(candidate, generator), space.uniform()):
        kept = sum(group.costs[level] for level, group in zip(made, space.groups, strict=True))
        whole = sum(group.costs[-1] for group in space.groups)
        assert abs(1 - kept / whole - ratio) <= 0.02  # a step is 0.4 of 50
        assert kept == pytest.approx(space.cost(made))


def test_shares_between_levels_cost_in_proportion() -> None:
    space = Space(stepped(layers=1), 0.5)
    assert space.spent(np.array([1.0, 1.0])) == pytest.approx(space.total)
    assert space.spent(np.array([0.5, 0.0])) == pytest.approx(0.3 * 6)
    assert space.spent(np.array([6.5 / 12, 0.0])) == pytest.approx(0.3 * 7)  # half-way from 6 heads to 7
    assert space.spent(np.array([0.0, 0.0])) == 0.0
