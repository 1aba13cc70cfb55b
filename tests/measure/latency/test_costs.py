"""Costs read off a table that obeys an additive law are that law's."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_example import SETTING, SUBJECT, Law, at, example_table
from leanformer.errors import LatencyError
from leanformer.measure.latency.costs import SublayerCosts, costs_of, is_complete, rising
from leanformer.measure.latency.table import Setting, Shape, Table

LAW = Law()
COSTS = costs_of(example_table(LAW), SETTING)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 128)), max_size=12))
def test_an_additive_law_is_predicted_exactly(shapes):
    assert COSTS.predict_ms(shapes) == pytest.approx(LAW.model_ms(shapes, 32), rel=1e-9)


def test_the_parts_are_told_apart():
    assert COSTS.fixed_ms == pytest.approx(LAW.fixed_ms)
    assert COSTS.layer_ms == pytest.approx(LAW.layer_ms)
    assert COSTS.rest_ms(6) == pytest.approx(LAW.fixed_ms + 6 * LAW.layer_ms)
    assert COSTS.attention_ms(0) == COSTS.ffn_ms(0) == 0.0
    assert COSTS.attention_ms(3) == pytest.approx(LAW.attention_ms(3, 32))
    assert COSTS.ffn_ms(100) == pytest.approx(LAW.ffn_ms(100, 32))  # between two measured widths


def test_a_whole_that_is_less_than_its_parts():
    """Layers smaller in both parts show it; what is dense stays as measured."""
    table = example_table(LAW)
    half = Shape(2, 64, 3)
    points = tuple(
        replace(point, ratio=0.8 * point.ratio) if point.shape == half else point for point in table.points
    )
    costs = costs_of(replace(table, points=points), SETTING)
    assert costs.predict_ms([(2, 64)] * 3) == pytest.approx(0.8 * LAW.model_ms([(2, 64)] * 3, 32))
    assert costs.predict_ms([(4, 128)] * 3) == pytest.approx(LAW.model_ms([(4, 128)] * 3, 32))
    assert costs.sum_ms([(2, 64)] * 3) == pytest.approx(LAW.model_ms([(2, 64)] * 3, 32))
    between = costs.predict_ms([(3, 80)] * 3) / costs.sum_ms([(3, 80)] * 3)
    assert 0.8 < between < 1.0
    assert [factor for _, factor in COSTS.whole] == pytest.approx([1.0] * 5)


def test_a_slower_day_changes_nothing():
    """Probes are timed against the dense one in the same rounds; one whole probe at half speed leaves the ratios."""
    table = example_table(LAW)
    slow = replace(table.points[4], reference_ms=2 * table.points[4].reference_ms)
    changed = replace(table, points=(*table.points[:4], slow, *table.points[5:]))
    assert costs_of(changed, SETTING).predict_ms([(2, 64)]) == pytest.approx(COSTS.predict_ms([(2, 64)]))


def test_a_length_between_two_measured_ones():
    table = example_table(LAW, (SETTING, at(SETTING, tokens=128)))
    between = costs_of(table, at(SETTING, tokens=56))
    assert between.setting.tokens == 56
    shapes = [(4, 128), (1, 16), (0, 77)]
    assert between.predict_ms(shapes) == pytest.approx(LAW.model_ms(shapes, 56))


@pytest.mark.parametrize(
    "changes", [{"tokens": 16}, {"tokens": 129}, {"batch": 1}, {"threads": 1}, {"precision": "int8"}]
)
def test_what_was_not_measured_is_refused(changes):
    table = example_table(LAW, (SETTING, at(SETTING, tokens=128)))
    with pytest.raises(LatencyError, match="leanformer latency measure"):
        costs_of(table, at(SETTING, **changes))


def test_an_unfinished_setting_is_refused():
    table = example_table(LAW)
    one_layer = Shape(SUBJECT.heads, SUBJECT.width, 1)
    unfinished = replace(table, points=tuple(point for point in table.points if point.shape != one_layer))
    assert is_complete(table, SETTING)
    assert not is_complete(unfinished, SETTING)
    with pytest.raises(LatencyError, match="of no length"):
        costs_of(unfinished, SETTING)


def test_a_shape_outside_of_the_table_is_no_guess():
    for ask in (lambda: COSTS.attention_ms(5), lambda: COSTS.ffn_ms(129), lambda: COSTS.ffn_ms(-1)):
        with pytest.raises(ValueError, match="outside"):
            ask()


@given(st.lists(st.floats(-1, 5), min_size=1))
def test_rising_never_falls_and_changes_nothing_that_rises(values):
    curve = rising(values)
    assert len(curve) == len(values)
    assert all(0 <= before <= after for before, after in pairwise(curve))
    assert rising(curve) == curve
    assert all(risen >= value for risen, value in zip(curve, values, strict=True))


def test_a_group_s_curve():
    noisy = SublayerCosts(SETTING, ((0, 0.0), (1, 0.5), (2, 0.4), (4, 1.0)), ((0, 0.0), (128, 1.0)), 0.1, 0.2)
    assert noisy.curve("head", 4, 4) == pytest.approx((0.0, 0.5, 0.5, 0.7, 1.0))
    assert noisy.curve("neuron", 128, 4) == pytest.approx((0.0, 0.25, 0.5, 0.75, 1.0))
    assert noisy.curve("neuron", 64, 2) == pytest.approx((0.0, 0.25, 0.5))  # of a layer that has fewer


def test_ragged_widths_show():
    smooth, ragged = COSTS, costs_of(example_table(Law(odd_ms=0.5)), SETTING)
    assert dict(smooth.step_costs) == pytest.approx({1: 1.0, 4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0})
    assert smooth.preferred_multiple == 1
    assert dict(ragged.step_costs)[1] > 1.5
    assert ragged.preferred_multiple == 4
    assert replace(ragged, step_costs=((8, 1.0), (16, 1.4), (32, 1.3))).preferred_multiple == 32


def test_nothing_measured_is_refused():
    with pytest.raises(LatencyError, match="of no length"):
        costs_of(Table(SUBJECT), Setting("torch", "fp32", 1, 8, 1))
