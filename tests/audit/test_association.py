"""Association tests, against the formulas worked out by hand and against brute force."""

from itertools import combinations

import numpy as np
import pytest

from leanformer.audit.association import association, combined, cosines, effect_size, preference


def drawn(*sizes, seed=0, width=5):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((size, width)) for size in sizes]


def test_by_hand():
    """Targets along the axes, attributes along the axes: u is 1, 0 and -1."""
    east, north, west = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[-1.0, 0.0]])
    first = np.concatenate([east, 3 * east])
    second = np.concatenate([north, west])
    assert preference(first, east, north).tolist() == [1.0, 1.0]
    assert preference(second, east, north).tolist() == [-1.0, -1.0]
    found = association((first, second), (east, north))
    assert found.statistic == pytest.approx(4.0)
    assert found.effect == pytest.approx(2.0 / np.std([1, 1, -1, -1], ddof=1))
    assert (found.p, found.n, found.exact) == (0.0, 4, True)  # no partition is larger


def test_exact_p_is_a_count():
    x, y, a, b = drawn(3, 3, 4, 2)
    u = np.concatenate([preference(x, a, b), preference(y, a, b)])
    found = association((x, y), (a, b))
    larger = 0
    for chosen in combinations(range(6), 3):
        rest = [i for i in range(6) if i not in chosen]
        larger += u[list(chosen)].sum() - u[rest].sum() > found.statistic + 1e-12
    assert found.p == larger / 20


def test_drawn_p_is_close_to_the_exact_one():
    x, y, a, b = drawn(6, 6, 4, 4, seed=3)
    exact = association((x, y), (a, b))
    sampled = association((x, y), (a, b), samples=900)  # there are 924 partitions
    assert (exact.exact, sampled.exact) == (True, False)
    assert sampled.p == pytest.approx(exact.p, abs=0.05)
    assert sampled == association((x, y), (a, b), samples=900)


def test_signs_and_scale():
    x, y, a, b = drawn(4, 4, 3, 3, seed=1)
    found, turned = association((x, y), (a, b)), association((y, x), (a, b))
    assert turned.effect == pytest.approx(-found.effect)
    assert association((5 * x, y), (a, 0.1 * b)).effect == pytest.approx(found.effect)
    assert found.low <= found.effect <= found.high
    assert cosines(x, x).diagonal() == pytest.approx(1.0)
    assert effect_size(np.ones(3), np.ones(3)) == 0.0


def test_sets_that_can_not_be_compared():
    x, y, a, b = drawn(4, 3, 2, 2)
    with pytest.raises(ValueError, match="as many first as second"):
        association((x, y), (a, b))
    with pytest.raises(ValueError, match="some of all four"):
        association((x[:0], y[:0]), (a, b))


def test_equal_effects_stay_and_exact_ones_count_more():
    same = combined([0.4, 0.4, 0.4], [0.1, 0.2, 0.3])
    assert same.effect == pytest.approx(0.4)
    assert same.high - same.low == pytest.approx(2 * 1.959964 * (1 / (1 / 0.1 + 1 / 0.2 + 1 / 0.3)) ** 0.5)
    near = combined([0.5, 0.1], [1e-3, 1e3])
    assert near.effect == pytest.approx(0.5, abs=1e-3)


def test_random_effects_by_the_formula():
    effects, variances = np.array([0.1, 0.9, -0.3, 1.4]), np.array([0.02, 0.03, 0.01, 0.05])
    weights = 1 / variances
    mean = (weights * effects).sum() / weights.sum()
    scatter = (weights * (effects - mean) ** 2).sum()
    between = (scatter - 3) / (weights.sum() - (weights**2).sum() / weights.sum())
    assert between > 0
    weights = 1 / (variances + between)
    found = combined(effects.tolist(), variances.tolist())
    assert found.effect == pytest.approx((weights * effects).sum() / weights.sum())
    assert 0 < found.p < 1
    with pytest.raises(ValueError, match="as many variances"):
        combined([1.0], [])


def test_copies_of_a_word_are_no_further_witnesses():
    x, y, a, b = drawn(6, 6, 4, 4, seed=3)
    once = association((x, y), (a, b))
    copied = association(tuple(np.repeat(part, 5, axis=0) for part in (x, y)), (a, b), block=1)
    together = association(
        tuple(np.repeat(part, 5, axis=0) for part in (x, y)),
        tuple(np.repeat(part, 5, axis=0) for part in (a, b)),
        block=5,
    )
    assert (together.n, together.p, together.exact) == (12, once.p, True)
    assert copied.high - copied.low < 0.7 * (together.high - together.low)
