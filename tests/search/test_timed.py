"""A space in milliseconds: its candidates meet the budget of time."""

import numpy as np
import pytest

from latency_example import SETTING, Law, example_table
from leanformer.errors import LatencyError
from leanformer.measure.latency.costs import costs_of
from leanformer.search.space import TOLERANCE, Group, Space
from leanformer.search.timed import timed_groups

LAW = Law()
COSTS = costs_of(example_table(LAW), SETTING)


def groups(layers=6):
    kinds = (("head", 4, 4, 1.0), ("neuron", 128, 64, 2.0))
    return tuple(Group(layer, *kind) for layer in range(layers) for kind in kinds)


def test_levels_cost_what_the_table_says():
    head, neuron = timed_groups(groups(1), COSTS)
    assert head.costs == pytest.approx([LAW.attention_ms(heads, 32) for heads in range(5)])
    assert neuron.costs[16] == pytest.approx(LAW.ffn_ms(32, 32))
    assert (neuron.units, neuron.levels, neuron.layer) == (128, 64, 0)
    assert neuron.cost == pytest.approx(LAW.ffn_ms(128, 32) / 64)


def test_candidates_meet_a_budget_of_time():
    space = Space(timed_groups(groups(), COSTS), 0.5)
    dense = LAW.model_ms([(4, 128)] * 6, 32) - COSTS.rest_ms(6)
    for seed in range(5):
        candidate = space.random(np.random.default_rng(seed))
        shapes = [(candidate[2 * layer], 2 * candidate[2 * layer + 1]) for layer in range(6)]
        spent = LAW.model_ms(shapes, 32) - COSTS.rest_ms(6)
        assert spent / dense == pytest.approx(0.5, abs=TOLERANCE)


def test_weights_have_no_time():
    with pytest.raises(LatencyError, match="granularity unit"):
        timed_groups([Group(0, "query", 1024, 64, 16.0)], COSTS)
