"""Metrics of classification, regression, tagging, questions and sentence embeddings, of answers and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from leanformer.errors import DataError
from leanformer.tasks.places import divergence_of_places, exact_counts, f1_counts, groups_of, mean_of
from leanformer.tasks.spans import (
    span_counts,
    span_f1,
    span_precision,
    span_recall,
    token_accuracy,
    word_counts,
)
from leanformer.tasks.task import Kind
from leanformer.tasks.words import asked

Counts = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From logits (n, words, num_labels) and labels (n, words) to counts of each row, (n, counts); from logits of strides
and what `leanformer.tasks.judged.labels_of` says of them to counts of each question."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Its key in `METRICS`.
        needs: The kind of task it is defined for.
        function: Takes what `per_example` gives, gives a value in [-1, 1]; larger is better.
        counts: Where the metric is a function of sums over rows: what is summed. `function` takes such sums.
    """

    name: str
    needs: Kind
    function: Callable[..., float]
    counts: Counts | None = None


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the answers.

    Args:
        logits: Scores, (n, classes).
        labels: Label ids, (n,).

    Returns:
        Counts, (classes, classes): rows are true classes, columns answered ones.
    """
    classes = logits.shape[1]
    cells = labels.astype(np.int64) * classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.float64)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers."""
    return float((logits.argmax(axis=1) == labels).mean())


def f1(logits: np.ndarray, labels: np.ndarray) -> float:
    """F1 of class 1 for two classes; the plain mean over the classes that occur (macro) for more."""
    counts = confusion(logits, labels)
    hits = counts.diagonal()
    asked_and_answered = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = asked_and_answered > 0
    per_class = np.where(occurs, 2 * hits / np.where(occurs, asked_and_answered, 1), 0.0)
    return float(per_class[1] if len(counts) == 2 else per_class[occurs].mean())


def matthews(logits: np.ndarray, labels: np.ndarray) -> float:
    """Matthews correlation (Gorodkin's R_K for several classes); 0 where it is not defined."""
    counts = confusion(logits, labels)
    rows, answered, asked = counts.sum(), counts.sum(axis=0), counts.sum(axis=1)
    covariance = rows * counts.trace() - answered @ asked
    spread = (rows**2 - answered @ answered) * (rows**2 - asked @ asked)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def correlation(predicted: np.ndarray, wanted: np.ndarray) -> float:
    """Pearson correlation of two vectors; 0 where one of them is constant: nothing is predicted then."""
    if np.ptp(predicted) == 0 or np.ptp(wanted) == 0:
        return 0.0
    return float(np.clip(np.corrcoef(predicted, wanted)[0, 1], -1.0, 1.0))


def pearson(logits: np.ndarray, labels: np.ndarray) -> float:
    """Pearson correlation of the one output with the wanted value."""
    return correlation(logits[:, 0].astype(np.float64), labels.astype(np.float64))


def spearman(logits: np.ndarray, labels: np.ndarray) -> float:
    """Spearman correlation: Pearson correlation of the ranks, ties sharing their mean rank."""
    from scipy.stats import rankdata

    return correlation(rankdata(logits[:, 0]), rankdata(labels))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "classification", accuracy),
        Metric("f1", "classification", f1),
        Metric("matthews", "classification", matthews),
        Metric("pearson", "regression", pearson),
        Metric("spearman", "regression", spearman),
        Metric("spearman_cosine", "embedding", spearman),
        Metric("pearson_cosine", "embedding", pearson),
        Metric("span-f1", "token-classification", span_f1, span_counts),
        Metric("span-precision", "token-classification", span_precision, span_counts),
        Metric("span-recall", "token-classification", span_recall, span_counts),
        Metric("token-accuracy", "token-classification", token_accuracy, word_counts),
        Metric("answer-f1", "question-answering", mean_of, f1_counts),
        Metric("exact-match", "question-answering", mean_of, exact_counts),
    )
}


def metric_for(name: str, kind: Kind) -> Metric:
    """Look up a metric and check that it fits the kind of task.

    Args:
        name: A key of `METRICS`.
        kind: The kind of task it will be used on.

    Returns:
        The metric.

    Raises:
        DataError: If there is no such metric, or it is defined for another kind of task.
    """
    fitting = ", ".join(metric.name for metric in METRICS.values() if metric.needs == kind)
    if name not in METRICS:
        raise DataError(f"there is no metric '{name}': choose one of {fitting} with --metric")
    if METRICS[name].needs != kind:
        raise DataError(
            f"the metric '{name}' does not fit a {kind} task: choose one of {fitting} with --metric"
        )
    return METRICS[name]


def pair_cosines(vectors: np.ndarray) -> np.ndarray:
    """Return how alike the texts of each pair are.

    Args:
        vectors: Sentence embeddings, (2 * pairs, hidden); rows 2i and 2i + 1 are a pair.

    Returns:
        The cosine of each pair, (pairs,); 0 where a vector is all zeros.
    """
    unit = unit_length(vectors.astype(np.float64))
    return (unit[0::2] * unit[1::2]).sum(axis=1)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Divide vectors (n, hidden) by their lengths; one that is all zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def per_example(metric: str, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a metric reads, one row an example, so that whole examples can be drawn.

    Args:
        metric: A key of `METRICS`.
        logits: Model outputs, (rows, num_labels); for embeddings the vectors of all texts, (2 * pairs, hidden).
        labels: One a row.

    Returns:
        Answers, (examples, outputs), and labels, (examples,): the rows themselves, but for embeddings the cosine of
        each pair, (pairs, 1), and the similarity that was wanted.
    """
    if METRICS[metric].needs == "embedding":
        return pair_cosines(logits)[:, None], labels[::2]
    return logits, labels


def score(metric: str, logits: np.ndarray, labels: np.ndarray) -> float:
    """Score predictions.

    Args:
        metric: A key of `METRICS`.
        logits: Model outputs, (n, num_labels), or (n, words, num_labels).
        labels: Label ids or values, (n,), or (n, words).

    Returns:
        The value as a fraction in [-1, 1]; larger is better.
    """
    return float(scores(metric, logits, labels, [slice(None)])[0])


def scores(
    metric: str, logits: np.ndarray, labels: np.ndarray, draws: Iterable[np.ndarray | slice]
) -> np.ndarray:
    """Score many draws of examples: rows, pairs of embeddings, or questions.

    Args:
        metric: A key of `METRICS`.
        logits: Model outputs, (n, num_labels), or (n, words, num_labels).
        labels: Label ids or values, (n,), or (n, words).
        draws: Which examples, each time.

    Returns:
        One value a draw, (draws,).
    """
    one, logits, labels = METRICS[metric], np.asarray(logits), np.asarray(labels)
    if one.counts is not None:
        counts = one.counts(logits, labels)
        return np.array([one.function(counts[draw].sum(axis=0)) for draw in draws])
    answers, wanted = per_example(metric, logits, labels)
    return np.array([one.function(answers[draw], wanted[draw]) for draw in draws])


def examples_of(metric: str, labels: np.ndarray) -> int:
    """Return how many examples rows are: each is one, but two make a pair of embeddings, and strides a question."""
    if METRICS[metric].needs == "question-answering":
        return len(groups_of(labels))
    return len(labels) // 2 if METRICS[metric].needs == "embedding" else len(labels)


def divergence(dense_logits: np.ndarray, logits: np.ndarray, kind: Kind = "classification") -> float:
    """Return how far answers are from the dense model's.

    Args:
        dense_logits: (rows, classes), (rows, 1) for regression, (rows, words, labels), (strides, tokens, 2) for
            questions, or (texts, hidden) for embeddings.
        logits: The same shape.
        kind: The kind of task; only questions and embeddings are not told by their shapes.

    Returns:
        Mean KL(dense || candidate) in nats, over rows or over words; for regression the mean squared error over the
        variance of the dense answers; for embeddings the mean of 1 - cosine; for
        questions see `leanformer.tasks.places.divergence_of_places`.
    """
    from scipy.special import log_softmax

    if kind == "question-answering":
        return divergence_of_places(dense_logits, logits)
    if kind == "embedding":
        dense, own = (unit_length(some.astype(np.float64)) for some in (dense_logits, logits))
        return float(1.0 - (dense * own).sum(axis=1).mean())
    if dense_logits.ndim == 3:
        words = asked(dense_logits)
        dense_logits, logits = dense_logits[words], logits[words]  # (words, labels)
    if dense_logits.shape[1] == 1:
        spread = max(float(dense_logits.var()), 1e-12)
        return float(np.square(dense_logits - logits).mean()) / spread
    wanted, given = log_softmax(dense_logits, axis=1), log_softmax(logits, axis=1)
    return float((np.exp(wanted) * (wanted - given)).sum(axis=1).mean())
