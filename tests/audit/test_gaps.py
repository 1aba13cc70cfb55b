"""Gaps between genders, by hand."""

import numpy as np
import pytest

from leanformer.audit.gaps import pro_anti_gap, probabilities, rate_gaps, swap_gap


def logits_of(*shares):
    return np.log([[1 - share, share] for share in shares])


def test_a_swap_gap_has_size_and_direction():
    found = swap_gap(logits_of(0.9, 0.2, 0.4), logits_of(0.7, 0.6, 0.4))
    assert found.size.value == pytest.approx((0.2 + 0.4 + 0.0) / 3)
    assert found.direction.value == pytest.approx((0.2 - 0.4) / 3)
    assert (found.up, found.down, found.n) == (0, 1, 3)
    assert found.direction.low <= found.direction.value <= found.direction.high
    turned = swap_gap(logits_of(0.7, 0.6, 0.4), logits_of(0.9, 0.2, 0.4))
    assert turned.direction.value == pytest.approx(-found.direction.value)
    assert (turned.up, turned.down) == (1, 0)


def test_values_are_compared_as_they_are():
    found = swap_gap(np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]]))
    assert (found.size.value, found.direction.value, found.up, found.down) == (0.5, 0.5, 1, 0)
    assert probabilities(np.array([[2.5]])).tolist() == [2.5]


def test_rates_are_compared_class_by_class():
    answers, labels = np.array([0, 1, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 2])
    groups = ["f", "f", "m", "f", "m", "m"]
    found = rate_gaps(answers, labels, groups)
    assert found.by_class == {0: 0.5 - 1.0, 1: 0.0}  # class 2 has texts of one group alone
    assert found.root_mean_square == pytest.approx(np.sqrt(0.125))
    assert found.groups == ("f", "m")


def test_pro_and_anti():
    found = pro_anti_gap(np.array([True, True, True, False]), np.array([True, False, False, False]))
    assert found.value == 50.0
    assert found.low <= 50.0 <= found.high
    equal = pro_anti_gap(np.array([True, False]), np.array([True, False]))
    assert (equal.value, equal.low, equal.high) == (0.0, 0.0, 0.0)


def test_what_can_not_be_compared_is_refused():
    with pytest.raises(ValueError, match="needs pairs"):
        swap_gap(logits_of(0.5), logits_of(0.5, 0.5))
    with pytest.raises(ValueError, match="not of 3"):
        rate_gaps(np.array([0, 0, 0]), np.array([0, 0, 0]), ["a", "b", "c"])
    with pytest.raises(ValueError, match="No class"):
        rate_gaps(np.array([0, 1]), np.array([0, 1]), ["a", "b"])
    with pytest.raises(ValueError, match="gap of pairs"):
        pro_anti_gap(np.array([True]), np.array([], dtype=bool))
