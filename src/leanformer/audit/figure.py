"""One measured figure of bias with its uncertainty, and whether another model's is another one beyond chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        metric: What was measured, as people call it: "SEAT, sentences".
        subject: On what: the name of a test or of a data set.
        value: The figure.
        low: Lower end of its 95% interval.
        high: Upper end.
        n: How many items it was measured on.
        unit: What the items are: "pairs of texts".
        ideal: The value without bias.
        p: Of the permutation test, where there is one.
        note: What a reader has to know besides.
        draws: The figure of bootstrap resamples; of two models the same resamples of the same items.
    """

    metric: str
    subject: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    ideal: float = 0.0
    p: float | None = None
    note: str = ""
    draws: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    @property
    def name(self) -> tuple[str, str]:
        """What tells the figure from others of one model."""
        return self.metric, self.subject

    def facts(self) -> dict[str, Any]:
        """Return what `audit.json` holds of it: everything but the draws."""
        facts = asdict(self)
        del facts["draws"]
        return facts


@dataclass(frozen=True)
class Unmeasured:
    """What could not be measured on a model.

    Attributes:
        metric: What.
        reason: One sentence: why, and what to do.
    """

    metric: str
    reason: str


@dataclass(frozen=True)
class Change:
    """What another model's figure differs by.

    Attributes:
        value: The other model's figure less the first one's.
        low: Lower end of the 95% interval of the difference, resampled in pairs.
        high: Upper end.
        beyond: Whether the interval leaves out 0.
    """

    value: float
    low: float
    high: float
    beyond: bool


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% percentile interval of a bootstrap (Efron and Tibshirani, 1993, chapter 13).

    Args:
        draws: The figure of each resample; NaN where a resample has none.

    Returns:
        Its ends.
    """
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def resampled(
    items: int, statistic: Callable[[NDArray[np.int64]], float | Sequence[float]], seed: int = 0
) -> NDArray[np.float64]:
    """Return a statistic of bootstrap resamples.

    Args:
        items: How many items there are.
        statistic: Of the chosen items, (items,) of positions: one figure, or several.
        seed: The same seed and number of items give the same resamples: those of two models go in pairs.

    Returns:
        (RESAMPLES,), or (RESAMPLES, figures).
    """
    generator = np.random.default_rng(seed)
    return np.array([statistic(generator.integers(0, items, items)) for _ in range(RESAMPLES)])


def mean_figure(
    metric: str, subject: str, items: NDArray[np.floating], unit: str, ideal: float = 0.0, note: str = ""
) -> Figure:
    """Make a figure of the mean of items, with its bootstrap interval.

    Args:
        metric: What was measured.
        subject: On what.
        items: One value an item, (items,), one at least.
        unit: What the items are.
        ideal: The mean without bias.
        note: What a reader has to know besides.

    Returns:
        The figure.
    """
    values = np.asarray(items, dtype=np.float64)
    draws = resampled(len(values), lambda chosen: float(values[chosen].mean()))
    low, high = interval(draws)
    return Figure(
        metric, subject, float(values.mean()), low, high, len(values), unit, ideal, None, note, draws
    )


def change(first: Figure, other: Figure) -> Change:
    """Compare the same figure of two models.

    Args:
        first: The one model's.
        other: The other's, measured on the same items.

    Returns:
        The difference.

    Raises:
        ValueError: The figures are not of the same items.
    """
    if first.name != other.name or first.n != other.n:
        raise ValueError(
            f"{first.name} of {first.n} and {other.name} of {other.n} items can not be compared."
        )
    low, high = interval(other.draws - first.draws)
    return Change(other.value - first.value, low, high, not low <= 0.0 <= high)
