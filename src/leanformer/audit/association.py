"""How closely two sets of targets lie to two sets of attributes: WEAT, SEAT and CEAT, as functions of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.figure import CONFIDENCE, RESAMPLES, interval

Vectors = NDArray[np.floating]

SAMPLES = 100_000
"""Re-partitions that are drawn where there are more than that."""


@dataclass(frozen=True)
class Association:
    """The association test of one pair of targets with one pair of attributes.

    Attributes:
        statistic: s, the sum of u over the first targets less that over the second.
        effect: d, in standard deviations of u: above 0 the first targets lie closer to the first attributes.
        low: Lower end of the effect's 95% bootstrap interval.
        high: Upper end.
        p: Share of the equal re-partitions of the targets whose statistic is larger.
        n: How many targets there are, words where vectors come in blocks.
        exact: Whether all re-partitions were counted, or some were drawn.
        draws: The effect of each bootstrap resample; of vectors of the same shape the same resamples.
    """

    statistic: float
    effect: float
    low: float
    high: float
    p: float
    n: int
    exact: bool
    draws: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False, compare=False)


def cosines(left: Vectors, right: Vectors) -> NDArray[np.float64]:
    """Return the cosine of each of (n, width) with each of (m, width), (n, m)."""
    left, right = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (left, right))
    found: NDArray[np.float64] = left.astype(np.float64) @ right.astype(np.float64).T
    return found


def preference(words: Vectors, first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """Return u of each word: its mean cosine with the first attributes less that with the second.

    Args:
        words: (n, width).
        first: (attributes, width).
        second: (attributes, width).

    Returns:
        (n,).
    """
    found: NDArray[np.float64] = cosines(words, first).mean(axis=1) - cosines(words, second).mean(axis=1)
    return found


def effect_size(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return d = (mean u of the first - mean u of the second) / std of both together, with n - 1 below.

    Args:
        first: u of the first targets.
        second: u of the second targets.

    Returns:
        The effect; 0 where all are equal.
    """
    spread = float(np.concatenate([first, second]).std(ddof=1))
    return float(first.mean() - second.mean()) / spread if spread > 0 else 0.0


def association(
    targets: tuple[Vectors, Vectors],
    attributes: tuple[Vectors, Vectors],
    seed: int = 0,
    samples: int = SAMPLES,
    block: int = 1,
) -> Association:
    """Test whether two sets of targets differ in how close they lie to two sets of attributes.

    WEAT (Caliskan et al. 2017, Science 356) on vectors of words, SEAT (May et al. 2019, arXiv 1903.10561) on vectors
    of sentences. As in the published implementation (sent-bias, weat.py): s over equal re-partitions, exact where
    they can be counted.

    Args:
        targets: X and Y, (n, width) each; as many of each.
        attributes: A and B, (m, width) each.
        seed: Of the re-partitions that are drawn, and of the bootstrap over targets and attributes.
        samples: Re-partitions that are drawn where there are more.
        block: So many vectors after one another are of one word, such as its templates: re-partitions and resamples
            keep them together, since they are no independent witnesses.

    Returns:
        The test.

    Raises:
        ValueError: X and Y are not of the same size, or one of the four sets is empty.
    """
    if len(targets[0]) != len(targets[1]) or not all(len(part) for part in (*targets, *attributes)):
        raise ValueError(
            "An association test needs as many first as second targets, and some of all four sets."
        )
    first, second = (preference(part, *attributes) for part in targets)
    statistic = float(first.sum() - second.sum())
    by_word = np.concatenate([first, second]).reshape(-1, block).sum(axis=1)
    p, exact = _permuted(by_word, statistic, seed, samples)
    draws = _resampled(targets, attributes, seed, block)
    low, high = interval(draws)
    effect = effect_size(first, second)
    return Association(statistic, effect, low, high, p, len(by_word), exact, draws)


def _permuted(values: NDArray[np.float64], statistic: float, seed: int, samples: int) -> tuple[float, bool]:
    """Return the share of equal re-partitions with a larger statistic, and whether all were counted."""
    count, whole = len(values), float(values.sum())
    half = count // 2
    rounding = 1e-12 * max(1.0, abs(statistic))  # the same sum in another order is not larger
    if comb(count, half) <= samples:
        sums = np.array([values[list(chosen)].sum() for chosen in combinations(range(count), half)])
        return float((2 * sums - whole > statistic + rounding).mean()), True
    generator = np.random.default_rng(seed)
    sums = np.array([generator.permutation(values)[:half].sum() for _ in range(samples)])
    return float((2 * sums - whole > statistic + rounding).mean()), False


def _resampled(
    targets: tuple[Vectors, Vectors], attributes: tuple[Vectors, Vectors], seed: int, block: int
) -> NDArray[np.float64]:
    """Bootstrap the effect over the words of all four sets."""
    generator = np.random.default_rng(seed)
    table = [[cosines(one, attribute) for attribute in attributes] for one in targets]

    def draw(size: int) -> NDArray[np.int64]:
        words = generator.integers(0, size // block, size // block)
        return (words[:, None] * block + np.arange(block)).ravel()

    effects = []
    for _ in range(RESAMPLES):
        columns = [draw(len(attribute)) for attribute in attributes]
        us = []
        for row, one in zip(table, targets, strict=True):
            rows = draw(len(one))
            near = [part[rows][:, chosen].mean(axis=1) for part, chosen in zip(row, columns, strict=True)]
            us.append(near[0] - near[1])
        effects.append(effect_size(us[0], us[1]))
    return np.array(effects)


@dataclass(frozen=True)
class Combined:
    """Effects of many contexts as one.

    Attributes:
        effect: Their mean under random effects.
        low: Lower end of its 95% interval.
        high: Upper end.
        p: Two-sided, that there is no effect.
        n: How many contexts.
    """

    effect: float
    low: float
    high: float
    p: float
    n: int


def combined(effects: Sequence[float], variances: Sequence[float]) -> Combined:
    """Combine effect sizes under random effects (DerSimonian & Laird 1986), as CEAT does over contexts.

    CEAT: Guo & Caliskan 2021, arXiv 2006.03955, section 3.

    Args:
        effects: One a sample of contexts.
        variances: Of each, within its sample, above 0.

    Returns:
        The combined effect.

    Raises:
        ValueError: There is none, or the numbers differ.
    """
    from scipy.stats import norm

    if not effects or len(effects) != len(variances):
        raise ValueError("Effects can be combined with as many variances, of one or more.")
    found, within = np.asarray(effects, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    weights = 1.0 / within
    mean = float((weights * found).sum() / weights.sum())
    scatter = float((weights * (found - mean) ** 2).sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(0.0, (scatter - (len(found) - 1)) / scale) if scale > 0 else 0.0
    weights = 1.0 / (within + between)
    effect = float((weights * found).sum() / weights.sum())
    error = float(weights.sum() ** -0.5)
    reach = float(norm.ppf((1 + CONFIDENCE) / 2)) * error
    p = 2.0 * float(norm.sf(abs(effect) / error))
    return Combined(effect, effect - reach, effect + reach, p, len(found))
