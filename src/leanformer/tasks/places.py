"""Answers that stand in a text: which stretch of it a model's start and end logits mean, and how right that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from leanformer.tasks.answer_text import Likeness, best_likeness, exact_match, word_f1
from leanformer.tasks.questions import ANSWERS, QUESTION
from leanformer.tasks.words import OFFSETS

if TYPE_CHECKING:
    from datasets import Dataset

MOST_TOKENS = 30
"""Of an answer, as in the scripts of BERT."""


@dataclass(frozen=True)
class Wanted:
    """What the answers of one stride are judged against.

    Attributes:
        question: Its question's number: strides with the same one are of one question.
        context: The whole text.
        offsets: The characters that each token stands for, (tokens, 2); none for tokens that are none of the text.
        answers: The texts that are right.
    """

    question: int
    context: str
    offsets: np.ndarray
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """What a model answers to a question.

    Attributes:
        text: The stretch of the text.
        stride: The row in which it was found.
        start: Its first token.
        end: Its last token.
    """

    text: str
    stride: int
    start: int
    end: int


def wanted_of(rows: Dataset) -> np.ndarray:
    """Collect what answers are judged against.

    Args:
        rows: Strides made by `leanformer.tasks.strides.encode_strides`.

    Returns:
        One `Wanted` a stride, (strides,) of objects.
    """
    columns = [rows[name][:] for name in (QUESTION, "text_pair", OFFSETS, ANSWERS)]
    found = np.empty(len(rows), dtype=object)
    for place, (question, context, offsets, answers) in enumerate(zip(*columns, strict=True)):
        pairs = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
        found[place] = Wanted(question, context, pairs, tuple(answers))
    return found


def asked_tokens(wanted: np.ndarray) -> np.ndarray:
    """Return which tokens an answer may start or end with, (strides, tokens): those of the text."""
    offsets = np.stack([one.offsets for one in wanted])
    return offsets[..., 1] > offsets[..., 0]


def best_spans(logits: np.ndarray, asked: np.ndarray, most: int = MOST_TOKENS) -> tuple[np.ndarray, ...]:
    """Find in each stride the stretch with the largest sum of start and end logit: all stretches are tried.

    Args:
        logits: (strides, tokens, 2), start and end.
        asked: Which tokens a stretch may start or end with, (strides, tokens).
        most: Its tokens.

    Returns:
        First tokens, last tokens, and sums, (strides,) each; of equal sums the shortest counts, and of these the
        first. The sum is minus infinity where no token is asked.
    """
    starts, ends = (np.where(asked, logits[..., kind], -np.inf) for kind in (0, 1))
    rows, width = asked.shape
    every, first, length = np.arange(rows), np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    best = np.full(rows, -np.inf)
    for further in range(min(most, width)):
        sums = starts[:, : width - further] + ends[:, further:]
        place = sums.argmax(axis=1)
        better = sums[every, place] > best
        best = np.where(better, sums[every, place], best)
        first, length = np.where(better, place, first), np.where(better, further, length)
    return first, first + length, best


def groups_of(wanted: np.ndarray) -> list[np.ndarray]:
    """Return the strides of each question, in the order in which the questions are first met."""
    numbers = np.array([one.question for one in wanted], dtype=np.int64)
    _, first, of_stride = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(of_stride, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(of_stride))[:-1])
    return [parts[place] for place in np.argsort(first, kind="stable")]


def answers_of(logits: np.ndarray, wanted: np.ndarray) -> list[Answered]:
    """Read a model's answers: of each question the best stretch of all its strides.

    Args:
        logits: (strides, tokens, 2), start and end.
        wanted: One `Wanted` a stride.

    Returns:
        One a question, in the order in which they are first met.
    """
    starts, ends, sums = best_spans(logits, asked_tokens(wanted))
    found = []
    for strides in groups_of(wanted):
        best = int(strides[sums[strides].argmax()])
        offsets = wanted[best].offsets
        text = wanted[best].context[offsets[starts[best], 0] : offsets[ends[best], 1]]
        found.append(Answered(text, best, int(starts[best]), int(ends[best])))
    return found


def place_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return how likely the answer starts, and ends, with each token of its stride.

    Args:
        logits: (strides, tokens, 2); not a number for padding.

    Returns:
        The same shape; 0 for padding.
    """
    there = np.where(np.isnan(logits), -np.inf, logits)
    shifted = np.exp(there - there.max(axis=1, keepdims=True))
    probabilities: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def _counts(likeness: Likeness, logits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return (questions, 2): how right each answer is, and 1, so that sums of them are a mean."""
    found = answers_of(logits, wanted)
    values = [best_likeness(likeness, one.text, wanted[one.stride].answers) for one in found]
    return np.stack([np.array(values, dtype=np.float64), np.ones(len(values))], axis=1)


exact_counts = partial(_counts, exact_match)
f1_counts = partial(_counts, word_f1)


def mean_of(sums: Sequence[float]) -> float:
    """Return the mean over questions, of the sums (2,) of their counts."""
    return float(sums[0] / sums[1])


def divergence_of_places(dense: np.ndarray, lean: np.ndarray) -> float:
    """Return how far answers are from the dense model's.

    Args:
        dense: (strides, tokens, 2); not a number for padding.
        lean: The same shape.

    Returns:
        The mean over strides of KL(dense || lean) of where the answer starts plus that of where it ends, in nats.
    """
    from scipy.special import log_softmax

    there = ~np.isnan(dense)
    wanted, given = (log_softmax(np.where(there, some, -np.inf), axis=1) for some in (dense, lean))
    terms = np.where(
        there, np.exp(wanted) * (np.where(there, wanted, 0.0) - np.where(there, given, 0.0)), 0.0
    )
    return float(terms.sum(axis=(1, 2)).mean())
