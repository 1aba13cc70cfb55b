"""What compression may change at most, where the user limits it: answers, and what gender does to them.

Whoever searches asks on held-out rows, and so does whoever reports; both hold a model against the dense one on the
same rows and on the same gender-swapped twins of their texts. Validation rows are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.answering import Answer
from leanformer.audit.answers import FEWEST, KINDS, drawn, make_twins, probabilities
from leanformer.audit.figure import Figure, mean_figure
from leanformer.budget import BIAS, FLIPS, Budget
from leanformer.errors import BudgetError
from leanformer.measure.flips import changed_answers
from leanformer.tasks.encode import encode
from leanformer.tasks.task import DISCRETE

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.tasks.task import Task


class Seen(NamedTuple):
    """What a model answers where it is watched.

    Attributes:
        logits: On the rows, (rows, classes), or of words (rows, words, classes).
        swaps: How far the answer to each text is from that to its twin, (pairs,): in P of the last class, or in the
            task's own values; None where bias is not limited.
    """

    logits: NDArray[np.floating]
    swaps: NDArray[np.float64] | None


@dataclass(frozen=True)
class Watch:
    """Limits on what compression changes, and the twins on which one of them is measured.

    Attributes:
        task: The task.
        limits: The most that there may be, by `leanformer.budget.FLIPS` and `BIAS`; in percent, and in the unit
            of `Seen.swaps`.
        male: Encoded texts in which the words are male; None where bias is not limited.
        female: Their twins, in the same order.
    """

    task: Task
    limits: Mapping[str, float]
    male: Dataset | None = None
    female: Dataset | None = None

    def parcel(self) -> Watch:
        """Return a copy that can travel to another machine: twins in memory."""
        from datasets import Dataset

        sides = [
            side if side is None else Dataset.from_dict(side.to_dict()) for side in (self.male, self.female)
        ]
        return replace(self, male=sides[0], female=sides[1])

    def see(self, answer: Answer, rows: Dataset) -> Seen:
        """Ask a model everything.

        Args:
            answer: The model.
            rows: Encoded rows.

        Returns:
            Its answers.
        """
        return Seen(answer(rows), self.swaps(answer))

    def swaps(self, answer: Answer) -> NDArray[np.float64] | None:
        """Ask a model about the twins.

        Args:
            answer: The model.

        Returns:
            See `Seen.swaps`.
        """
        if self.male is None or self.female is None:
            return None
        found: NDArray[np.float64] = np.abs(
            probabilities(answer(self.male)) - probabilities(answer(self.female))
        )
        return found

    def harms(self, dense: Seen, other: Seen, labels: NDArray[np.integer]) -> dict[str, Figure]:
        """Measure what is limited.

        Args:
            dense: What the dense model answers.
            other: What another one answers to the same.
            labels: The true labels of the rows, (rows,) or (rows, words): of words, they tell which there are.

        Returns:
            By name of the limit: percent of the answers that are others, and by how much the mean of the swaps is
            larger; the interval is over rows, or over pairs of texts.
        """
        found = {}
        if FLIPS in self.limits:
            changed = 100.0 * changed_answers(dense.logits, other.logits, labels, self.task)
            found[FLIPS] = mean_figure(FLIPS, "percent of the answers", changed, "texts")
        if dense.swaps is not None and other.swaps is not None:
            grown = other.swaps - dense.swaps
            found[BIAS] = mean_figure(BIAS, "growth of the swap gap", grown, "pairs of texts")
        return found

    def excess(self, harms: Mapping[str, float]) -> float:
        """Return by how much the limits are broken.

        Args:
            harms: What was measured, by name of the limit.

        Returns:
            0 where all are kept; else what is too much, as a share of its limit (of 1 where nothing may change), the
            larger one of two.
        """
        over = [(harms[name] - limit) / (limit or 1.0) for name, limit in self.limits.items()]
        return max(0.0, *over)


def watch_of(
    budget: Budget, held_out: Dataset, tokenizer: PreTrainedTokenizerBase, task: Task, max_tokens: int
) -> Watch | None:
    """Return what is to be watched under a budget.

    Args:
        budget: The limits.
        held_out: Encoded rows with their texts, that no training reads.
        tokenizer: The model's tokenizer.
        task: The task.
        max_tokens: Longest input; a twin that is longer than its text is cut.

    Returns:
        The watch; None where neither answers nor bias are limited.

    Raises:
        BudgetError: If the task has no answers that can change, or the rows no gender words.
    """
    limits = {name: value for name in (FLIPS, BIAS) if (value := getattr(budget, name)) is not None}
    if not limits:
        return None
    if FLIPS in limits and task.kind not in DISCRETE:
        raise BudgetError(
            f"--max-flips counts changed answers, and a task of {task.kind} has values and no classes: "
            "give --max-drop instead"
        )
    if BIAS not in limits:
        return Watch(task, limits)
    if task.kind not in KINDS:
        raise BudgetError(
            f"--max-bias-increase needs one class or value a text, which a task of {task.kind} has not: leave it "
            "out, and read what leanformer audit says of the vectors"
        )
    twins = drawn(make_twins(held_out))
    if len(twins.rows) < FEWEST:
        raise BudgetError(
            f"--max-bias-increase is measured on gender-swapped texts, but only {len(twins.rows)} of the "
            f"{len(held_out)} held-out texts have a gender word that the English list knows ({FEWEST} are needed): "
            "leave it out, or give more training rows"
        )
    male, female = (encode(side, tokenizer, max_tokens, truncate=True) for side in (twins.male, twins.female))
    return Watch(task, limits, male, female)
