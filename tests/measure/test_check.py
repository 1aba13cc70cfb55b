from dataclasses import replace

import pytest

from leanformer.measure.check import Measured, compare
from leanformer.measure.contract import Contract, Limit, Speed

SPEEDS = (Speed(1, "openvino", "int8", 3.0, 2.8, 3.2), Speed(1, "torch", "fp32", 2.0, 1.9, 2.1))
CONTRACT = Contract("accuracy", 0.87, 400, 12, 20.5, SPEEDS, {"cpu": "a CPU"})
SAME = Measured(0.87, 400, 12, 20.5, SPEEDS)


def broken(now, contract=CONTRACT):
    return [(term.name, term.variant) for term in compare(contract, now) if not term.kept]


def faster(ratio, which=0):
    speeds = list(SPEEDS)
    speeds[which] = replace(speeds[which], ratio=ratio)
    return replace(SAME, speeds=tuple(speeds))


def test_the_same_again_is_kept():
    terms = compare(CONTRACT, SAME)
    assert [term.name for term in terms] == ["score", "flips", "size_mb", "speed", "speed"]
    assert all(term.kept for term in terms)


def test_a_point_may_be_lost_and_no_more():
    assert broken(replace(SAME, score=0.86)) == []
    assert broken(replace(SAME, score=0.859)) == [("score", None)]
    assert broken(replace(SAME, score=0.95)) == []


def test_flips_are_a_share_of_the_rows():
    assert broken(replace(SAME, flips=16)) == []  # 4.0%, one point more than 3.0%
    assert broken(replace(SAME, flips=17)) == [("flips", None)]
    assert broken(replace(SAME, flips=17, n=800)) == []
    assert broken(replace(SAME, flips=0)) == []


def test_a_regression_has_no_flips():
    terms = compare(replace(CONTRACT, flips=None), replace(SAME, flips=None))
    assert "flips" not in [term.name for term in terms]


@pytest.mark.parametrize("size_mb", [20.4, 20.6, 20.500001])
def test_the_size_may_not_change(size_mb):
    assert broken(replace(SAME, size_mb=size_mb)) == [("size_mb", None)]


def test_a_speed_may_fall_to_a_share_of_its_interval():
    (bound,) = (term.bound for term in compare(CONTRACT, SAME) if term.variant == "openvino int8")
    assert bound == pytest.approx(0.8 * 2.8)
    assert broken(faster(2.25)) == []
    assert broken(faster(2.2)) == [("speed", "openvino int8")]
    assert broken(faster(1.5, which=1)) == [("speed", "torch fp32")]
    assert broken(faster(9.0)) == []


def test_a_speed_is_held_against_that_of_its_own_form():
    other = replace(SPEEDS[0], form="first-token", ratio=1.0)
    assert broken(replace(SAME, speeds=(other, *SPEEDS))) == []
    contract = replace(CONTRACT, speeds=(replace(other, ratio=3.0),))
    assert broken(replace(SAME, speeds=(*SPEEDS, other)), contract) == [
        ("speed", "openvino int8 first-token")
    ]
    with pytest.raises(ValueError, match="openvino int8 first-token at batch 1 was not measured"):
        compare(contract, SAME)


def test_what_was_not_measured_is_no_kept_bound():
    with pytest.raises(ValueError, match="torch fp32 at batch 1 was not measured"):
        compare(CONTRACT, replace(SAME, speeds=SPEEDS[:1]))


def test_a_limit_on_changes_holds_what_was_asked_or_what_was_measured():
    limits = (Limit("max_flips_percent", 2.0, 1.0), Limit("max_bias_increase", 0.01, 0.03))
    contract = replace(CONTRACT, limits=limits)
    now = {"max_flips_percent": 2.0, "max_bias_increase": 0.03}
    terms = {term.name: term for term in compare(contract, replace(SAME, limits=now))}
    assert (terms["max_flips_percent"].bound, terms["max_bias_increase"].bound) == (2.0, 0.03)
    assert broken(replace(SAME, limits=now), contract) == []
    assert broken(replace(SAME, limits=now | {"max_flips_percent": 2.1}), contract) == [
        ("max_flips_percent", None)
    ]
    assert broken(replace(SAME, limits=now | {"max_bias_increase": 0.031}), contract) == [
        ("max_bias_increase", None)
    ]
