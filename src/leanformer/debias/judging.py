"""What a debiased model is judged by: association tests of our own words and of SEAT, and a task's score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.audit.associations import seat, seat_of_sentences
from leanformer.audit.figure import Figure, change, interval
from leanformer.audit.models import Asked
from leanformer.audit.words import TESTS
from leanformer.encoders.lean import without_pooling
from leanformer.encoders.sentence import is_embedder
from leanformer.measure.statistics import paired_drop
from leanformer.tasks.predict import predict, score_logits

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.audit.read import SuiteData
    from leanformer.tasks.task import Task

Facts = dict[str, Any]
SEAT_GENDER = ("sent-weat6", "sent-weat7", "sent-weat8")
"""The tests of gender that Joniak & Aizawa report: names, career and family; mathematics, science and arts."""

SAMPLES = 1000
"""Re-partitions for p of our own tests: it is not shown here."""


@dataclass(frozen=True)
class Effects:
    """Effect sizes of several association tests.

    Attributes:
        mean: The mean of their sizes, without sign; 0 without bias.
        figures: Each test.
    """

    mean: Figure
    figures: tuple[Figure, ...]

    def facts(self) -> Facts:
        """Return what debias.json holds of it."""
        return {**self.mean.facts(), "tests": [one.facts() for one in self.figures]}


def as_asked(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Asked:
    """Return a model as an audit asks it; sentence embeddings without their pooling.

    Args:
        model: With any head; weights are shared.
        tokenizer: Its tokenizer.

    Returns:
        The model.
    """
    bare = without_pooling(model) if is_embedder(model) else model
    return Asked(str(model.config.name_or_path), bare, tokenizer, fills_blanks=False)


def own_effects(asked: Asked) -> Effects:
    """Measure the project's own tests in sentences.

    Args:
        asked: The model.

    Returns:
        The effects.
    """
    return _effects("own word tests", seat(asked, TESTS, samples=SAMPLES))


def public_effects(asked: Asked, data: SuiteData | None) -> Effects | None:
    """Measure SEAT's tests of gender.

    Args:
        asked: The model.
        data: The public data sets, where there are any.

    Returns:
        The effects; None where the three tests are not there.
    """
    tests = {} if data is None else {name: data.seat[name] for name in SEAT_GENDER if name in data.seat}
    found = [one for one in seat_of_sentences(asked, tests) if isinstance(one, Figure)]
    return _effects("SEAT 6, 7, 8", found) if len(found) == len(SEAT_GENDER) else None


def _effects(name: str, figures: Sequence[Figure]) -> Effects:
    draws = np.abs(np.stack([one.draws for one in figures])).mean(axis=0)
    low, high = interval(draws)
    value = float(np.mean([abs(one.value) for one in figures]))
    items = sum(one.n for one in figures)
    mean = Figure("mean absolute effect size", name, value, low, high, items, figures[0].unit, draws=draws)
    return Effects(mean, tuple(figures))


def change_facts(dense: Effects, other: Effects) -> Facts:
    """Return what a model's mean effect size differs by.

    Args:
        dense: The dense model's.
        other: The other's.

    Returns:
        `value`, `low`, `high`, `beyond`, see `leanformer.audit.figure.Change`, and `share`: the part of the dense
        model's that is gone.
    """
    apart = asdict(change(dense.mean, other.mean))
    return {**apart, "share": -apart["value"] / dense.mean.value if dense.mean.value else 0.0}


@dataclass(frozen=True)
class Judge:
    """Rows of a task, and what the dense model answers on them.

    Attributes:
        task: The task.
        tokenizer: The model's tokenizer.
        rows: Encoded rows.
        dense: The dense model's answers.
        seed: Of the bootstrap.
    """

    task: Task
    tokenizer: PreTrainedTokenizerBase
    rows: Dataset
    dense: np.ndarray
    seed: int

    @classmethod
    def of(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task, rows: Dataset, seed: int
    ) -> Judge:
        """Ask the dense model.

        Args:
            model: The dense model.
            tokenizer: Its tokenizer.
            task: The task.
            rows: Encoded rows.
            seed: Of the bootstrap.

        Returns:
            The judge.
        """
        return cls(task, tokenizer, rows, predict(model, rows, tokenizer, stage="Dense answers"), seed)

    def score(self, model: PreTrainedModel | None = None) -> Facts:
        """Score a model beside the dense one.

        Args:
            model: The model; None for the dense one itself.

        Returns:
            `score`, `low`, `high`, `n`; of another model `drop_points` and `drop_interval`, too.
        """
        answers = self.dense if model is None else predict(model, self.rows, self.tokenizer, stage="Answers")
        labels = np.asarray(self.rows["label"][:])
        found = score_logits(answers, labels, self.task)
        facts = {"score": found.value, "low": found.low, "high": found.high, "n": found.n}
        if model is None:
            return facts
        drop, low, high = paired_drop(self.task.metric, self.dense, answers, labels, seed=self.seed)
        return {**facts, "drop_points": drop, "drop_interval": [low, high]}
