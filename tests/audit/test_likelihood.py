"""Preferences of a masked language model, against their formulas."""

import numpy as np
import pytest

from leanformer.audit.likelihood import (
    disco,
    log_probability_bias,
    preferred,
    share_of,
    shared_positions,
    stereoset,
    unmasked_likelihood,
)


def test_shared_tokens_are_those_of_both_sentences():
    left, right = shared_positions([101, 7, 8, 9, 5, 102], [101, 7, 4, 4, 9, 5, 102])
    assert left == [0, 1, 3, 4, 5]
    assert right == [0, 1, 4, 5, 6]
    assert shared_positions([1], [2]) == ([], [])


def test_preference_counts_ties_for_neither():
    found = preferred(np.array([-1.0, -2.0, -3.0004, -5.0]), np.array([-1.5, -1.5, -3.0001, -9.0]))
    assert (found.percent, found.n, found.neutral) == (50.0, 4, 1)
    assert 0 < found.low < 50 < found.high < 100


def test_the_interval_is_the_exact_one():
    from scipy.stats import binom

    found = share_of(7, 20)
    assert binom.sf(6, 20, found.low / 100) == pytest.approx(0.025)
    assert binom.cdf(7, 20, found.high / 100) == pytest.approx(0.025)
    assert (share_of(0, 5).low, share_of(5, 5).high) == (0.0, 100.0)
    with pytest.raises(ValueError, match="no share"):
        share_of(0, 0)


def test_aul_is_a_mean_of_logs():
    assert unmasked_likelihood(np.log([0.5, 0.25])) == pytest.approx(np.log(0.125) / 2)


def test_stereoset_is_a_mean_over_terms():
    """Term a: both items stereotyped; term b: none; b's meaningless sentence goes before one of the other two."""
    terms = ["a", "a", "b"]
    found = stereoset(terms, np.array([3.0, 3.0, 1.0]), np.array([2.0, 2.0, 3.0]), np.array([0.0, 0.0, 2.0]))
    assert found.language == pytest.approx(100 * (1.0 + 0.5) / 2)
    assert found.stereotype == pytest.approx(50.0)
    assert found.idealised == pytest.approx(75.0)
    assert (found.n, found.terms) == (3, 2)
    assert found.low <= 50 <= found.high
    biased = stereoset(terms, np.ones(3), np.zeros(3), np.full(3, -1.0))
    assert (biased.language, biased.stereotype, biased.idealised) == (100.0, 100.0, 0.0)


def test_lpbs_is_free_of_the_prior():
    raised = log_probability_bias(np.array([0.2]), np.array([0.1]), np.array([0.05]), np.array([0.05]))
    assert raised.tolist() == pytest.approx([np.log(2)])
    none = log_probability_bias(np.array([0.4]), np.array([0.2]), np.array([0.02]), np.array([0.01]))
    assert none.tolist() == pytest.approx([0.0])


def test_disco_counts_what_goes_with_one_gender():
    even, uneven, absent = [10, 10], [30, 0], [0, 0]
    fills = {"one": np.array([even, uneven, absent]), "two": np.array([even, even])}
    assert disco(fills, comparisons=3) == 0.5
    weak = {"one": np.array([[8, 2]])}  # p = 0.058
    assert disco(weak, 1) == 0.0
    assert disco({"one": np.array([[9, 2]])}, 1) == 1.0  # p = 0.035
    assert disco({"one": np.array([[9, 2]])}, 2) == 0.0
    with pytest.raises(ValueError, match="no fills"):
        disco({}, 1)
