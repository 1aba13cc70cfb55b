"""The texts whose answer changed: what a person should read before trusting a compressed model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.tasks.answer_text import best_likeness, plain_words, word_f1
from leanformer.tasks.judged import labels_of
from leanformer.tasks.metrics import pair_cosines
from leanformer.tasks.places import Answered, answers_of, place_probabilities
from leanformer.tasks.spans import answered, normalised, spans
from leanformer.tasks.words import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.tasks.task import Task

LARGEST_CHANGES = 20


@dataclass(frozen=True)
class Flip:
    """One text with another answer than before.

    Attributes:
        row: Its row number in the source file.
        text: The text, or the question.
        text_pair: The second text of a pair, or what holds a question's answer, or None.
        label: The true label's name, or the true value; of a tagged sentence its spans, as "type: words; ..."; of a
            question its different answers, as "one / other".
        dense_answer: The original model's answer: a label name, a value, spans or a stretch of the text.
        lean_answer: The compressed model's answer.
        dense_probability: The probability the original model gave its answer, in a tagged sentence that of the word
            whose answer changed most; None for regression.
        lean_probability: The same for the compressed model.
        dense_right: How right the original model's answer is, where answers are so by degrees: the F1 of its words.
        lean_right: The same for the compressed model.
    """

    row: int
    text: str
    text_pair: str | None
    label: str | float
    dense_answer: str | float
    lean_answer: str | float
    dense_probability: float | None
    lean_probability: float | None
    dense_right: float | None = None
    lean_right: float | None = None


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Turn logits (..., classes) into probabilities of the same shape by softmax."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def changed_answers(
    dense_logits: np.ndarray, lean_logits: np.ndarray, labels: np.ndarray, task: Task
) -> np.ndarray:
    """Say which answers are others than before.

    Args:
        dense_logits: Answers of the original model, (n, num_labels); of words (n, words, num_labels).
        lean_logits: Answers of the compressed model, of the same shape.
        labels: Of words the true labels, (n, words), which tell where there is a word; else not read.
        task: Of classes, or of spans.

    Returns:
        (n,), of sentences whether a span is another one.
    """
    if task.kind == "token-classification":
        dense, lean = (normalised(answered(logits, labels)) for logits in (dense_logits, lean_logits))
        changed: np.ndarray = (dense != lean).any(axis=1)
        return changed
    changed = dense_logits.argmax(axis=-1) != lean_logits.argmax(axis=-1)
    return changed


def flips(dense_logits: np.ndarray, lean_logits: np.ndarray, dataset: Dataset, task: Task) -> list[Flip]:
    """List the texts whose answer changed; for regression and embeddings, those whose value changed most.

    Args:
        dense_logits: Answers of the original model, (n, num_labels), in the data set's order; of words
            (n, words, num_labels), of questions (n, tokens, 2).
        lean_logits: Answers of the compressed model, of the same shape.
        dataset: The rows, with `text`, optionally `text_pair`, `label` and `row`; with `words` of tagged sentences.
        task: The task.

    Returns:
        Classification: every changed answer, the one with the largest change of probabilities first; of tagged
        sentences those that have other spans than before. Questions: those whose answer has other words. Regression:
        the 20 largest changes at most, largest first. Embeddings: the same of the cosines of pairs.

    Raises:
        ValueError: If the numbers of rows differ.
    """
    if not len(dense_logits) == len(lean_logits) == len(dataset):
        counts = (len(dense_logits), len(lean_logits), len(dataset))
        raise ValueError(f"answers must be of the same rows, but there are {counts}")
    if task.kind == "token-classification":
        return _sentences(dense_logits, lean_logits, dataset, task)
    if task.kind == "question-answering":
        return _questions(dense_logits, lean_logits, dataset)
    if task.kind == "embedding":
        dense_logits, lean_logits = (pair_cosines(some)[:, None] for some in (dense_logits, lean_logits))
        dataset = _pairs(dataset)
    if task.kind != "classification":
        change = np.abs(dense_logits[:, 0] - lean_logits[:, 0])
        order = np.argsort(-change, kind="stable")[: min(LARGEST_CHANGES, np.count_nonzero(change))]
        return [
            _flip(row, float(row["label"]), float(dense_logits[index, 0]), float(lean_logits[index, 0]))
            for index, row in _rows(dataset, order)
        ]
    dense, lean = probabilities(dense_logits), probabilities(lean_logits)
    change = np.abs(dense - lean).sum(axis=1)
    changed = np.flatnonzero(changed_answers(dense_logits, lean_logits, np.empty(0), task))
    order = changed[np.argsort(-change[changed], kind="stable")]
    return [
        _flip(
            row,
            task.labels[row["label"]],
            task.labels[dense[index].argmax()],
            task.labels[lean[index].argmax()],
            float(dense[index].max()),
            float(lean[index].max()),
        )
        for index, row in _rows(dataset, order)
    ]


def _pairs(dataset: Dataset) -> Dataset:
    """Put the two texts of each pair, which are rows of their own, side by side."""
    first = dataset.select(range(0, len(dataset), 2)).select_columns(["row", "text", "label"])
    return first.add_column("text_pair", dataset["text"][1::2])


def cosine_changes(dense: np.ndarray, lean: np.ndarray) -> dict[str, float]:
    """Return how far the similarities of pairs have moved: of vectors there are no answers that change or stay.

    Args:
        dense: Vectors of the original model, (2 * pairs, hidden).
        lean: Vectors of the compressed model.

    Returns:
        The mean of |cosine change| over the pairs, and its 95th percentile ("p95").
    """
    change = np.abs(pair_cosines(dense) - pair_cosines(lean))
    return {"mean": float(change.mean()), "p95": float(np.quantile(change, 0.95))}


def _sentences(dense_logits: np.ndarray, lean_logits: np.ndarray, dataset: Dataset, task: Task) -> list[Flip]:
    """List the sentences whose spans changed, the one with the largest change of probabilities first."""
    labels = np.asarray(dataset["label"][:])  # (n, words)
    there = labels != IGNORED
    answers = [normalised(answered(logits, labels)) for logits in (dense_logits, lean_logits)]
    dense, lean = (
        np.where(there[..., None], probabilities(logits), 0.0) for logits in (dense_logits, lean_logits)
    )
    change = np.where(answers[0] != answers[1], np.abs(dense - lean).sum(axis=-1), -1.0)  # (n, words)
    changed = np.flatnonzero(changed_answers(dense_logits, lean_logits, labels, task))
    order = changed[np.argsort(-change[changed].max(axis=1), kind="stable")]
    most = change.argmax(axis=1)  # (n,) the word whose answer changed most
    found = []
    for index, row in _rows(dataset, order):
        label, before, after = (_spans_in_words(ids[index], row["words"], task) for ids in (labels, *answers))
        dense_sure, lean_sure = (float(sure[index, most[index]].max()) for sure in (dense, lean))
        found.append(_flip(row, label, before, after, dense_sure, lean_sure))
    return found


def _spans_in_words(ids: np.ndarray, words: list[str], task: Task) -> str:
    """Write a sentence's spans for people: "type: words; type: words", or "none"."""
    found = [
        f"{task.labels[2 * kind + 1][2:]}: {' '.join(words[start:end])}" for start, end, kind in spans(ids)
    ]
    return "; ".join(found) or "none"


def _questions(dense_logits: np.ndarray, lean_logits: np.ndarray, dataset: Dataset) -> list[Flip]:
    """List the questions that are answered with other words, the one with the largest change of rightness first."""
    wanted = labels_of(dataset)
    pairs = list(zip(answers_of(dense_logits, wanted), answers_of(lean_logits, wanted), strict=True))
    sure = [place_probabilities(logits) for logits in (dense_logits, lean_logits)]
    found = []
    for before, after in pairs:
        if plain_words(before.text) == plain_words(after.text):
            continue
        answers = wanted[before.stride].answers
        (_, row), *_ = _rows(dataset, np.array([before.stride]))
        found.append(
            Flip(
                row=row["row"],
                text=row["text"],
                text_pair=row["text_pair"],
                label=" / ".join(dict.fromkeys(answers)),
                dense_answer=before.text,
                lean_answer=after.text,
                dense_probability=_surety(sure[0], before),
                lean_probability=_surety(sure[1], after),
                dense_right=best_likeness(word_f1, before.text, answers),
                lean_right=best_likeness(word_f1, after.text, answers),
            )
        )
    return sorted(found, key=lambda flip: -abs((flip.dense_right or 0.0) - (flip.lean_right or 0.0)))


def _surety(probabilities: np.ndarray, answer: Answered) -> float:
    """Return the probability of both ends of an answer, within its stride."""
    stride = probabilities[answer.stride]
    return float(stride[answer.start, 0] * stride[answer.end, 1])


def _rows(dataset: Dataset, order: np.ndarray) -> list[tuple[int, dict[str, Any]]]:
    """Read the rows of some positions."""
    columns = [
        name for name in ("row", "text", "text_pair", "label", "words") if name in dataset.column_names
    ]
    table = dataset.select_columns(columns)
    return [(int(index), table[int(index)]) for index in order]


def _flip(
    row: dict[str, Any],
    label: str | float,
    dense_answer: str | float,
    lean_answer: str | float,
    dense_probability: float | None = None,
    lean_probability: float | None = None,
) -> Flip:
    """Put a row and both answers together."""
    return Flip(
        row=row["row"],
        text=row["text"],
        text_pair=row.get("text_pair"),
        label=label,
        dense_answer=dense_answer,
        lean_answer=lean_answer,
        dense_probability=dense_probability,
        lean_probability=lean_probability,
    )
