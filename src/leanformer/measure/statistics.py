"""Medians, and what they are worth: bootstrap intervals of ratios and of differences between scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leanformer.tasks.metrics import examples_of, scores

RESAMPLES = 1000
CONFIDENCE = 0.95
POINTS = 100.0  # a score of 0.80 is 80 points
SETTLED = 0.05  # of a ratio, on either side
FEW_RESAMPLES = 200  # enough for a standard error (Efron and Tibshirani, 1993, section 6.4)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values.

    Args:
        values: One value a resample, (resamples,).

    Returns:
        Its lower and upper end, at 95%.
    """
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def resampled(rows: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Draw rows with replacement, many times.

    Args:
        rows: How many rows there are.
        seed: Same seed, same draws.
        resamples: How many times.

    Returns:
        Row numbers, (resamples, rows).
    """
    return np.random.default_rng(seed).integers(0, rows, (resamples, rows))


def median_interval(times_ms: Sequence[float], seed: int) -> tuple[float, float, float]:
    """Return the median of the rounds with its bootstrap interval.

    Args:
        times_ms: One time a round, (rounds,).
        seed: Of the resampling.

    Returns:
        The median, and the lower and upper end of its 95% interval.
    """
    times = np.asarray(times_ms, dtype=np.float64)
    draws = np.median(times[resampled(len(times), seed)], axis=1)  # (resamples,)
    return float(np.median(times)), *interval(draws)


def bootstrap_ratio_interval(
    times_a: Sequence[float], times_b: Sequence[float], seed: int
) -> tuple[float, float, float]:
    """Return how many times longer A takes than B, from rounds in which both were timed side by side.

    Whole rounds are resampled (Efron and Tibshirani, 1993, chapter 8), so that what slowed both in a round, such as
    another process, does not widen the interval.

    Args:
        times_a: The time of A in each round, (rounds,).
        times_b: The time of B in the same rounds, (rounds,).
        seed: Of the resampling.

    Returns:
        The ratio of the medians, and the lower and upper end of its 95% interval.

    Raises:
        ValueError: If the rounds are not paired, or there are none.
    """
    a, b = np.asarray(times_a, dtype=np.float64), np.asarray(times_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(f"times must be paired rounds, but have the shapes {a.shape} and {b.shape}")
    draws = resampled(len(a), seed)
    ratios = np.median(a[draws], axis=1) / np.median(b[draws], axis=1)  # (resamples,)
    return float(np.median(a) / np.median(b)), *interval(ratios)


def is_settled(ratio: float, low: float, high: float) -> bool:
    """Whether the interval of a ratio is so narrow that more rounds would tell little.

    Args:
        ratio: The ratio.
        low: The lower end of its 95% interval.
        high: The upper end.

    Returns:
        Whether half of the interval's width is at most 5% of the ratio.
    """
    return (high - low) / 2 <= SETTLED * ratio


def paired_drop(
    metric: str, dense_logits: np.ndarray, lean_logits: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[float, float, float]:
    """Return how many points the lean model loses, with a paired bootstrap interval.

    Both models are scored on the same resampled rows (Berg-Kirkpatrick et al., EMNLP 2012), so that rows that are
    hard for both do not widen the interval.

    Args:
        metric: A key of `leanformer.tasks.metrics.METRICS`.
        dense_logits: Answers of the original model, (n, num_labels), or (n, words, num_labels).
        lean_logits: Answers of the compressed model, of the same shape.
        labels: Label ids or values, (n,), or (n, words).
        seed: Of the resampling.

    Returns:
        100 * (dense - lean), and the lower and upper end of its 95% interval; negative is a gain.

    Raises:
        ValueError: If the numbers of rows differ.
    """
    answers = dense_logits, lean_logits, labels
    draws = _drops(metric, *answers, resampled(examples_of(metric, labels), seed))
    whole = _drops(metric, *answers, [slice(None)])
    return float(whole[0]), *interval(draws)


def drop_error(
    metric: str, dense_logits: np.ndarray, lean_logits: np.ndarray, labels: np.ndarray, seed: int = 0
) -> float:
    """Return the standard error of the points that the lean model loses, by a paired bootstrap.

    Args:
        metric: As in `paired_drop`, like what follows.
        dense_logits: (n, num_labels).
        lean_logits: (n, num_labels).
        labels: (n,).
        seed: One for all variants, so that whoever judges the same answers finds the same.

    Returns:
        Points; 0 where both models give the same answers.

    Raises:
        ValueError: If the numbers of rows differ.
    """
    draws = resampled(examples_of(metric, labels), seed, FEW_RESAMPLES)
    return float(_drops(metric, dense_logits, lean_logits, labels, draws).std())


def _drops(
    metric: str,
    dense_logits: np.ndarray,
    lean_logits: np.ndarray,
    labels: np.ndarray,
    draws: Sequence[np.ndarray | slice] | np.ndarray,
) -> np.ndarray:
    """Score both models on the same draws of examples."""
    if not len(dense_logits) == len(lean_logits) == len(labels):
        counts = (len(dense_logits), len(lean_logits), len(labels))
        raise ValueError(f"answers and labels must be of the same rows, but there are {counts}")
    dense, lean = (scores(metric, logits, labels, draws) for logits in (dense_logits, lean_logits))
    return POINTS * (dense - lean)
