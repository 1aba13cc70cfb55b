"""The cubic schedule: its ends, its middle, and that it only rises."""

from __future__ import annotations

import itertools

import pytest

from leanformer.training.schedule import cubic_ratio


def test_values_of_the_paper():
    assert cubic_ratio(50, 0, 100, 0.0, 0.8) == pytest.approx(0.8 * (1 - 0.5**3))
    assert cubic_ratio(30, 10, 50, 0.2, 0.6) == pytest.approx(0.6 - 0.4 * 0.5**3)


@pytest.mark.parametrize(("step", "ratio"), [(0, 0.1), (10, 0.1), (60, 0.9), (1000, 0.9)])
def test_it_holds_before_and_after(step, ratio):
    assert cubic_ratio(step, 10, 60, 0.1, 0.9) == ratio


def test_it_only_rises_fastest_at_first():
    values = [cubic_ratio(step, 0, 40, 0.0, 0.7) for step in range(41)]
    steps = [after - before for before, after in itertools.pairwise(values)]
    assert min(steps) > 0
    assert steps == sorted(steps, reverse=True)


def test_an_empty_ramp_is_at_its_end():
    assert cubic_ratio(1, 0, 0, 0.0, 0.5) == 0.5
