"""The dial of early exit: what every threshold saves and changes on held-out rows, as functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanformer.runtime.cascade import CLOSE, agreements, normalised_entropy

GRID = 100
"""Thresholds between 0 and 1 that are looked at."""


@dataclass(frozen=True)
class Heard:
    """What the exits of a model, and its last head, answer to held-out rows.

    Attributes:
        policy: One of `leanformer.encoders.carried_exits.POLICIES`.
        logits: (exits + 1, rows, labels), in the order of the layers.
        wrong: How likely each exit says that it is wrong, (exits, rows); None where they do not judge.
        layers: How many layers have run at each exit, and in all, (exits + 1,).
    """

    policy: str
    logits: NDArray[np.float32]
    wrong: NDArray[np.float32] | None
    layers: tuple[int, ...]

    def thresholds(self) -> list[float]:
        """Return the settings of the dial, the safest first."""
        if self.policy == "patience":
            return [float(count) for count in range(len(self.layers) - 1, 0, -1)]
        return [step / GRID for step in range(GRID + 1)]

    def leaves_at(self, threshold: float) -> NDArray[np.int64]:
        """Return at which exit each row leaves, (rows,); the number of exits where it leaves at none."""
        exits, rows = len(self.logits) - 1, self.logits.shape[1]
        if self.policy == "patience":
            may = self._agreed() >= threshold
        else:
            unsure = (
                self.wrong
                if self.policy == "learned" and self.wrong is not None
                else normalised_entropy(self.logits[:-1])
            )
            may = unsure < threshold
        may = np.concatenate([may, np.ones((1, rows), dtype=bool)])
        return np.where(may.any(axis=0), may.argmax(axis=0), exits)

    def answers(self, threshold: float) -> NDArray[np.float32]:
        """Return the logits that each row leaves with, (rows, labels)."""
        taken = self.leaves_at(threshold)
        return self.logits[taken, np.arange(len(taken))]

    def saved(self, threshold: float) -> float:
        """Return the share of all layers that does not run, on average over the rows."""
        used = np.asarray(self.layers)[self.leaves_at(threshold)]
        return 1.0 - float(used.mean()) / self.layers[-1]

    def changed(self, threshold: float) -> int:
        """Return how many rows leave with another answer than that of the last head; of values, one a tenth off."""
        given, last = self.answers(threshold), self.logits[-1]
        if last.shape[-1] == 1:
            return int((np.abs(given - last) >= CLOSE).sum())
        return int((given.argmax(axis=-1) != last.argmax(axis=-1)).sum())

    def _agreed(self) -> NDArray[np.float64]:
        """How many times in a row each exit has confirmed the one before, (exits, rows)."""
        agreed, last, counts = np.zeros(self.logits.shape[1]), None, []
        for logits in self.logits[:-1]:
            agreed, last = agreements(logits, last, agreed)
            counts.append(agreed)
        return np.stack(counts)


def setting_that_saves(heard: Heard, share: float) -> float | None:
    """Return the safest setting that saves a share of the layers; None where none does."""
    return next((one for one in heard.thresholds() if heard.saved(one) >= share), None)


def most_changed(changed: int, rows: int, confidence: float) -> float:
    """Return the upper end of a one-sided interval of a share (Clopper & Pearson 1934).

    Args:
        changed: How many of the rows changed.
        rows: How many there are.
        confidence: That the true share is below.

    Returns:
        A share.
    """
    from scipy.stats import beta

    return 1.0 if changed >= rows else float(beta.ppf(confidence, changed + 1, rows - changed))


def setting_that_agrees(heard: Heard, agreement: float, confidence: float) -> float | None:
    """Return the boldest setting whose answers are those of the whole model, as often as is asked for.

    The settings are tested in a fixed order, from the safest on, until one fails: then no correction for their number
    is needed, and with the given confidence the risk of the last that passed is below the bound (Learn then Test,
    Angelopoulos et al. 2021, arXiv 2110.01052, fixed sequence testing; conformal risk control's bound for a loss of 0
    or 1). Rows to come have to be of the kind of the held-out ones.

    Args:
        heard: Answers to rows that nothing was trained on.
        agreement: Share of the texts whose answer has to stay: 1 - alpha.
        confidence: That it does: 1 - delta.

    Returns:
        The threshold; None where not even the safest passes.
    """
    passed, rows = None, heard.logits.shape[1]
    for threshold in heard.thresholds():
        if most_changed(heard.changed(threshold), rows, confidence) > 1.0 - agreement:
            break
        passed = threshold
    return passed


def curve(
    heard: Heard, settings: Sequence[float], scores: Sequence[float] | None = None
) -> list[dict[str, float]]:
    """Return what the settings come to, for records.

    Args:
        heard: The answers.
        settings: Thresholds, the safest first.
        scores: The score at each of them, where labels are known.

    Returns:
        One dictionary a setting that differs from the one before: "threshold", "saved", "agreement", and "score".
    """
    found: list[dict[str, float]] = []
    rows = heard.logits.shape[1]
    for number, threshold in enumerate(settings):
        saved = heard.saved(threshold)
        if not found or saved != found[-1]["saved"]:
            agreement = 1.0 - heard.changed(threshold) / rows
            told = {} if scores is None else {"score": scores[number]}
            found.append({"threshold": threshold, "saved": saved, "agreement": agreement, **told})
    return found
