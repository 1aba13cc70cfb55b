"""Spans of words, such as names: how tags spell them, and how many a model finds.

Label ids follow one order, so that no function here needs names: 0 is outside, 2k + 1 begins a span of type k, and
2k + 2 goes on with it (IOB2, Tjong Kim Sang and Veenstra 1999).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

PREFIX = re.compile(r"([BIESLUM])(?:-(.*))?")
BEGINNING, ENDING = frozenset("BSU"), frozenset("ESLU")
NAMELESS = "_"
"""The type of spans whose tags are B, I and O alone, as seqeval names it."""


def parts_of(tag: str) -> tuple[str, str] | None:
    """Split a tag into its prefix and its type.

    Args:
        tag: For example B-person; I-, E-, S-, L-, U- and M- are known too. A tag without prefix, such as person, goes
            on with the tag before where that is the same.

    Returns:
        Prefix and type, or None for O.
    """
    if tag == "O":
        return None
    found = PREFIX.fullmatch(tag)
    return (found[1], found[2] or NAMELESS) if found else ("I", tag)


def iob2(tags: Sequence[str]) -> list[str]:
    """Spell the spans of a sentence in IOB2, whatever scheme its tags follow.

    A span begins at B, S or U, behind E, S, L, U or O, and where the type changes, as in seqeval's default mode; so
    IOB1, BIOES, BILOU and bare types are read rightly.

    Args:
        tags: One a word.

    Returns:
        O, B-type or I-type for each word.
    """
    spelt, before = [], None
    for now in map(parts_of, tags):
        if now is None:
            spelt.append("O")
        elif before is None or before[1] != now[1] or now[0] in BEGINNING or before[0] in ENDING:
            spelt.append(f"B-{now[1]}")
        else:
            spelt.append(f"I-{now[1]}")
        before = now
    return spelt


def span_labels(types: Iterable[str]) -> tuple[str, ...]:
    """Return the label names of a tagging task: O, then B- and I- of each type, the types sorted."""
    return ("O", *(f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in "BI"))


def normalised(ids: np.ndarray) -> np.ndarray:
    """Let every span begin with the label that begins one, as models' answers need not.

    Args:
        ids: Label ids, (rows, words); what is negative is no word.

    Returns:
        The same spans in IOB2, (rows, words); 0 where there is no word.
    """
    ids = np.where(ids > 0, ids, 0)
    types = (ids + 1) // 2  # (rows, words): 0 outside, from 1
    before = np.pad(types, ((0, 0), (1, 0)))[:, :-1]
    begins = (types > 0) & ((ids % 2 == 1) | (before != types))
    return np.where(types > 0, 2 * types - begins, 0)


def spans(ids: np.ndarray) -> list[tuple[int, int, int]]:
    """List the spans of one sentence.

    Args:
        ids: Label ids of its words, (words,).

    Returns:
        First word, the word behind the last one, and type (from 0), in the order of the sentence.
    """
    labels = normalised(np.asarray(ids)[None])
    starts = np.flatnonzero(labels[0] % 2)
    ends = _ends(labels)[0]
    return [(int(start), int(ends[start]), int(labels[0, start]) // 2) for start in starts]


def _ends(labels: np.ndarray) -> np.ndarray:
    """Return for each word of IOB2 labels where the span that it may be in ends, (rows, words)."""
    width = labels.shape[1]
    behind = np.pad(labels, ((0, 0), (0, 1)))[:, 1:]
    is_last = (behind == 0) | (behind % 2 == 1)
    last = np.where(is_last, np.arange(1, width + 1), width)
    return np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]


def answered(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the most likely label id of each word, (rows, words); 0 where there is no word (labels < 0)."""
    return np.where(labels >= 0, logits.argmax(axis=-1), 0)


def span_counts(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the spans of each sentence: exact ends and type, or nothing.

    Args:
        logits: (rows, words, labels).
        labels: (rows, words); negative where there is no word.

    Returns:
        (rows, 3): spans found, spans answered, spans asked.
    """
    given, wanted = normalised(answered(logits, labels)), normalised(labels)
    begins = (given % 2 == 1) & (given == wanted)
    found = begins & (_ends(given) == _ends(wanted))
    return np.stack([found.sum(axis=1), (given % 2).sum(axis=1), (wanted % 2).sum(axis=1)], axis=1)


def word_counts(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the words of each sentence.

    Args:
        logits: (rows, words, labels).
        labels: (rows, words); negative where there is no word.

    Returns:
        (rows, 2): words answered rightly, and words.
    """
    right = (labels >= 0) & (normalised(answered(logits, labels)) == normalised(labels))
    return np.stack([right.sum(axis=1), (labels >= 0).sum(axis=1)], axis=1)


def span_f1(counts: np.ndarray) -> float:
    """F1 over all spans together (micro average, as in CoNLL-2003), of the sums (3,) of `span_counts`."""
    found, given, wanted = counts
    return _share(2 * found, given + wanted)


def span_precision(counts: np.ndarray) -> float:
    """Share of the answered spans that are right; 0 where none is answered."""
    return _share(counts[0], counts[1])


def span_recall(counts: np.ndarray) -> float:
    """Share of the asked spans that are found; 0 where none is asked."""
    return _share(counts[0], counts[2])


def token_accuracy(counts: np.ndarray) -> float:
    """Share of the words answered rightly, of the sums (2,) of `word_counts`."""
    return _share(counts[0], counts[1])


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
