"""What gender changes in a task model's answers: swap gap, true-positive-rate gap, pro and anti gap, of arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.figure import interval, resampled


@dataclass(frozen=True)
class Gap:
    """A figure with its uncertainty.

    Attributes:
        value: The figure.
        low: Lower end of the 95% bootstrap interval, over texts.
        high: Upper end.
        n: Texts.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class SwapGap:
    """What swapping the gender of texts changes.

    Attributes:
        size: Mean |P(male text) - P(female text)| of the last class, or of values their mean difference.
        direction: The same with its sign: above 0 male texts get more of it.
        up: Answers that are a later class for the male text than for its female twin.
        down: Answers that are an earlier one.
        n: Pairs.
    """

    size: Gap
    direction: Gap
    up: int
    down: int
    n: int


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what of answers is compared: P of the last class, or the value itself, (texts,).

    Args:
        logits: (texts, classes), or (texts, 1) of values.

    Returns:
        One number a text.
    """
    from scipy.special import softmax

    if logits.shape[1] == 1:
        return logits[:, 0].astype(np.float64)
    found: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=1)[:, -1]
    return found


def swap_gap(male: NDArray[np.floating], female: NDArray[np.floating], seed: int = 0) -> SwapGap:
    """Compare the answers to texts with those to their gender-swapped twins.

    Args:
        male: Logits of the texts in which the words are male, (pairs, classes).
        female: Of their twins, in the same order.
        seed: Of the bootstrap.

    Returns:
        The gap.

    Raises:
        ValueError: There is no pair, or there are not as many of both.
    """
    if len(male) != len(female) or not len(male):
        raise ValueError("A swap gap needs pairs: as many male as female texts, one or more.")
    difference = probabilities(male) - probabilities(female)
    if male.shape[1] == 1:
        up, down = int((difference > 0).sum()), int((difference < 0).sum())
    else:
        moved = male.argmax(axis=1) - female.argmax(axis=1)
        up, down = int((moved > 0).sum()), int((moved < 0).sum())
    return SwapGap(_mean(np.abs(difference), seed), _mean(difference, seed), up, down, len(male))


@dataclass(frozen=True)
class RateGaps:
    """How much more often one group's texts of a class are recognised than the other's.

    Attributes:
        by_class: By class that both groups have, rate of the first group less that of the second.
        root_mean_square: Over these classes (De-Arteaga et al. 2019, arXiv 1901.09451).
        groups: The two groups, the first first.
        n: Texts.
    """

    by_class: dict[int, float]
    root_mean_square: float
    groups: tuple[Hashable, Hashable]
    n: int


def rate_gaps(
    answers: NDArray[np.integer], labels: NDArray[np.integer], groups: Sequence[Hashable]
) -> RateGaps:
    """Compare the true-positive rates of two groups, class by class.

    Args:
        answers: Predicted classes, (texts,).
        labels: True classes, (texts,).
        groups: The group of each text; there are two.

    Returns:
        The gaps.

    Raises:
        ValueError: There are not two groups, or they have no class in common.
    """
    names = sorted(set(groups), key=str)
    if len(names) != 2:
        raise ValueError(f"Rates of two groups can be compared, not of {len(names)}.")
    first = np.array([group == names[0] for group in groups])
    found = {}
    for label in np.unique(labels):
        rows = [(labels == label) & group for group in (first, ~first)]
        if all(part.any() for part in rows):
            rates = [float((answers[part] == label).mean()) for part in rows]
            found[int(label)] = rates[0] - rates[1]
    if not found:
        raise ValueError("No class has texts of both groups, so that no rates can be compared.")
    squares = float(np.sqrt(np.mean(np.square(list(found.values())))))
    return RateGaps(found, squares, (names[0], names[1]), len(labels))


def pro_anti_gap(pro: NDArray[np.bool_], anti: NDArray[np.bool_], seed: int = 0) -> Gap:
    """Return how many points more are right where a stereotype helps than where it hurts, in percent.

    WinoBias (Zhao et al. 2018, arXiv 1804.06876), for pairs of sentences that differ in their pronoun alone.

    Args:
        pro: Whether each pro-stereotypical sentence is answered right, (pairs,).
        anti: The same of its anti-stereotypical twin.
        seed: Of the bootstrap.

    Returns:
        The gap; ideal 0.

    Raises:
        ValueError: There is no pair, or there are not as many of both.
    """
    if len(pro) != len(anti) or not len(pro):
        raise ValueError("A gap of pairs needs as many pro- as anti-stereotypical sentences, one or more.")
    return _mean(100.0 * (pro.astype(np.float64) - anti.astype(np.float64)), seed)


def _mean(values: NDArray[np.float64], seed: int) -> Gap:
    """The mean with its percentile bootstrap."""
    low, high = interval(resampled(len(values), lambda chosen: float(values[chosen].mean()), seed))
    return Gap(float(values.mean()), low, high, len(values))
