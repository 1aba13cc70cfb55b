"""A figure's interval, and whether another model's differs by more than chance."""

import json

import numpy as np
import pytest

from leanformer.audit.figure import change, mean_figure, resampled


def test_a_mean_has_its_interval_and_n():
    found = mean_figure("swap gap", "size", np.array([0.0, 1.0] * 50), "pairs")
    assert (found.value, found.n) == (0.5, 100)
    assert found.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.02)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.02)
    assert "draws" not in json.loads(json.dumps(found.facts()))


def test_a_small_shift_of_every_item_is_beyond_chance_though_the_intervals_overlap():
    items = np.linspace(0, 1, 200)
    one, other = (mean_figure("gap", "all", part, "texts") for part in (items, items + 0.01))
    assert one.low < other.value < one.high
    found = change(one, other)
    assert found.value == pytest.approx(0.01)
    assert found.beyond


def test_noise_is_not_beyond_chance():
    generator = np.random.default_rng(0)
    one, other = (mean_figure("gap", "all", generator.normal(size=200), "texts") for _ in range(2))
    assert not change(one, other).beyond
    same = change(one, one)
    assert (same.value, same.low, same.high, same.beyond) == (0.0, 0.0, 0.0, False)


def test_only_figures_of_the_same_items_can_be_compared():
    one, other = (mean_figure("gap", "all", np.ones(count), "texts") for count in (3, 4))
    with pytest.raises(ValueError, match="can not be compared"):
        change(one, other)


def test_the_same_seed_gives_the_same_resamples():
    seen = [resampled(5, lambda chosen: chosen.tolist()) for _ in range(2)]
    assert np.array_equal(*seen)
