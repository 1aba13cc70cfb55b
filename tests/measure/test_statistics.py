import numpy as np
import pytest

from leanformer.measure.statistics import (
    bootstrap_ratio_interval,
    drop_error,
    is_settled,
    median_interval,
    paired_drop,
)
from leanformer.tasks.metrics import score


def rounds(generator, count, ratio):
    """Noisy times of two runners; half of the noise hits both in the same round."""
    common = generator.lognormal(0.0, 0.2, count)
    return 10 * ratio * common * generator.lognormal(0, 0.03, count), 10 * common * generator.lognormal(
        0, 0.03, count
    )


def test_ratio_interval_holds_the_truth():
    hits = 0
    for seed in range(60):
        a, b = rounds(np.random.default_rng(seed), 20, ratio=1.7)
        ratio, low, high = bootstrap_ratio_interval(a, b, seed=0)
        assert low <= ratio <= high
        hits += low <= 1.7 <= high
    assert hits >= 53  # 95% of 60 is 57; a percentile interval of medians is a little narrow


def test_pairing_narrows_the_interval():
    generator = np.random.default_rng(0)
    a, b = rounds(generator, 20, ratio=1.7)
    _, low, high = bootstrap_ratio_interval(a, b, seed=0)
    _, loose_low, loose_high = bootstrap_ratio_interval(a, generator.permutation(b), seed=0)
    assert high - low < 0.7 * (loose_high - loose_low)


def test_a_copy_has_ratio_one():
    a, b = rounds(np.random.default_rng(3), 30, ratio=1.0)
    ratio, low, high = bootstrap_ratio_interval(a, b, seed=0)
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert low <= 1.0 <= high
    assert bootstrap_ratio_interval(a, a, seed=0) == (1.0, 1.0, 1.0)


def test_settled_is_a_share_of_the_ratio():
    assert is_settled(2.0, 1.901, 2.1)
    assert not is_settled(2.0, 1.89, 2.1)
    assert is_settled(1.0, 1.0, 1.0)
    assert not is_settled(1.0, 0.86, 1.19)


def test_stopping_when_it_looks_settled_keeps_the_truth_inside():
    """A copy of a model, timed until its interval is narrow: 1.00 lies in it about as often as it should."""
    inside = 0
    for seed in range(40):
        a, b = rounds(np.random.default_rng(seed), 200, ratio=1.0)
        count = 16
        while count < 200 and not is_settled(*bootstrap_ratio_interval(a[:count], b[:count], seed=0)):
            count += 2
        _, low, high = bootstrap_ratio_interval(a[:count], b[:count], seed=0)
        inside += low <= 1.0 <= high
    assert inside >= 35


def test_unpaired_rounds_are_refused():
    with pytest.raises(ValueError, match="paired"):
        bootstrap_ratio_interval([1.0, 2.0], [1.0], seed=0)
    with pytest.raises(ValueError, match="paired"):
        bootstrap_ratio_interval([], [], seed=0)


def test_median_with_interval():
    median, low, high = median_interval([5.0, 1.0, 3.0, 100.0, 2.0], seed=0)
    assert median == 3.0
    assert 1.0 <= low <= 3.0 <= high <= 100.0
    assert median_interval([4.0] * 5, seed=0) == (4.0, 4.0, 4.0)


def answers(labels, right):
    """Logits that are right where `right` says so."""
    chosen = np.where(right, labels, 1 - labels)
    return np.eye(2)[chosen].astype(np.float32)


def test_drop_is_in_points_of_the_metric():
    labels = np.array([0, 1] * 50)
    dense = answers(labels, np.arange(100) < 90)
    lean = answers(labels, np.arange(100) < 84)
    drop, low, high = paired_drop("accuracy", dense, lean, labels, seed=0)
    assert drop == pytest.approx(6.0)
    assert 0.0 <= low < 6.0 < high <= 13.0
    gain, *_ = paired_drop("accuracy", lean, dense, labels, seed=0)
    assert gain == pytest.approx(-6.0)
    f1_drop, *_ = paired_drop("f1", dense, lean, labels, seed=0)
    assert f1_drop == pytest.approx(100 * (score("f1", dense, labels) - score("f1", lean, labels)))


def test_the_same_answers_drop_nothing():
    labels = np.array([0, 1] * 20)
    dense = answers(labels, np.arange(40) < 30)
    assert paired_drop("accuracy", dense, dense, labels, seed=0) == (0.0, 0.0, 0.0)


def test_the_standard_error_is_that_of_the_mean_of_paired_differences():
    labels = np.array([0, 1] * 200)
    dense = answers(labels, np.arange(400) < 360)
    lean = answers(labels, (np.arange(400) < 330) | (np.arange(400) >= 390))  # 30 rows lost, 10 won
    changes = np.repeat([1.0, -1.0, 0.0], [30, 10, 360])
    expected = 100 * changes.std() / np.sqrt(400)
    assert drop_error("accuracy", dense, lean, labels, seed=0) == pytest.approx(expected, rel=0.15)
    assert drop_error("accuracy", dense, dense, labels, seed=0) == 0.0
    assert drop_error("spearman", dense[:, :1], lean[:, :1], labels.astype(float), seed=0) > 0.0
    with pytest.raises(ValueError, match="same rows"):
        drop_error("accuracy", dense, lean[:-1], labels, seed=0)


def test_same_seed_same_interval():
    labels = np.random.default_rng(0).normal(size=80)
    dense, lean = labels[:, None] + 0.1, np.random.default_rng(1).normal(size=(80, 1)) + labels[:, None]
    first = paired_drop("spearman", dense, lean, labels, seed=7)
    assert paired_drop("spearman", dense, lean, labels, seed=7) == first
    assert paired_drop("spearman", dense, lean, labels, seed=8)[1:] != first[1:]
    assert first[0] > 10


def test_rows_must_match():
    with pytest.raises(ValueError, match="same rows"):
        paired_drop("accuracy", np.zeros((3, 2)), np.zeros((3, 2)), np.zeros(4), seed=0)
