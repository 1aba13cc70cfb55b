"""Costs under several constraints: the tightest counts, and steps lead over plateaus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leanformer.search.costs import Costs, Limit
from leanformer.search.space import Group, Space

PLATEAUS = [[0.0, 1.0, 1.0, 1.0, 2.0], [0.0, 3.0, 3.0]]


def test_the_excess_is_that_of_the_tightest_constraint():
    costs = Costs([[[0.0, 1.0, 2.0]], [[0.0, 10.0, 40.0]]], [1.0, 20.0])
    assert costs.spent([1]).tolist() == [1.0, 10.0]
    assert costs.excess(costs.spent([1])) == pytest.approx(
        0.0
    )  # the first is met exactly, the second has room
    assert costs.excess(costs.spent([2])) == pytest.approx(0.5)  # both are overdrawn by half of their total
    assert costs.excess(costs.spent_by_shares(np.array([0.75]))) == pytest.approx(0.25)


def test_steps_lead_over_plateaus():
    costs = Costs([PLATEAUS], [2.0])
    assert costs.step(np.array([1, 0]), 1, 0).tolist() == [4, 2]  # to the highest level of the next cost
    assert costs.step(np.array([2, 2]), -1, 0).tolist() == [0, 0]
    assert costs.step(np.array([4, 2]), 1, 0).tolist() == [4, 2]
    assert costs.step(np.array([2, 2]), -1, 1).tolist() == [1, 1]  # never below the least


def test_what_costs_nothing_more_is_kept():
    assert Costs([PLATEAUS], [9.0]).plateau_top(np.array([1, 1])).tolist() == [3, 2]
    rising = [[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0]]
    both = Costs([PLATEAUS, rising], [9.0, 9.0])
    assert both.plateau_top(np.array([1, 1])).tolist() == [1, 1]  # the second constraint has no plateau


def groups(layers: int = 6) -> tuple[Group, ...]:
    return tuple(
        group
        for layer in range(layers)
        for group in (Group(layer, "head", 12, 12, 49_152.0), Group(layer, "neuron", 1536, 48, 24_576.0))
    )


@given(st.floats(0.15, 0.85), st.floats(0.15, 0.85), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_candidates_meet_both_constraints(weights_left, time_left, seed):
    """Time is dear in attention here and cheap in the FFN, so that the two constraints want different candidates."""
    times = tuple(
        tuple(0.4 * level for level in range(13))
        if group.kind == "head"
        else tuple(0.02 * x for x in range(49))
        for group in groups()
    )
    whole = sum(row[-1] for row in times)
    space = Space(groups(), 1 - weights_left, limits=(Limit("milliseconds", times, time_left * whole),))
    generator = np.random.default_rng(seed)
    candidate = space.random(generator)
    for made in (candidate, space.swap(candidate, generator), space.uniform()):
        spent = sum(row[level] for row, level in zip(times, made, strict=True))
        assert 1 - space.ratio(made) <= weights_left + space.tolerance
        assert spent <= (time_left + space.tolerance) * whole
        close = (weights_left - (1 - space.ratio(made)), time_left - spent / whole)
        assert min(close) <= 0.02  # one of the two is used up


def test_a_limit_with_room_to_spare_changes_nothing():
    free = Limit("milliseconds", tuple(tuple(group.costs.tolist()) for group in groups()), 1e12)
    plain, limited = Space(groups(), 0.6), Space(groups(), 0.6, limits=(free,))
    drawn = [space.random(np.random.default_rng(4)) for space in (plain, limited)]
    assert drawn[0] == drawn[1]
