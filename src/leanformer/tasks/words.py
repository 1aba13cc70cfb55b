"""Words and the tokens that stand for them: a model answers for tokens, a tagging task asks for words.

A word is asked at its first token. Answers and labels of a data set are padded to its longest sentence, so that their
first axis is that of the rows, whatever the task: a draw of rows is a draw of whole sentences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.errors import ModelError
from leanformer.progress import say

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import BatchEncoding, PreTrainedTokenizerBase

WORDS, STARTS = "words", "starts"
OFFSETS = "offsets"
"""The column that says which characters of a question's text each token stands for, (2 * tokens,), padded to the
longest row; nothing (0, 0) for tokens that are none of the text."""

IGNORED = -100
"""The label, and the start, where there is no word: padding, and for a loss every token that begins none."""

UNSEEN = -1
"""The start of a word of which the model sees nothing: cut off, or no token stands for it."""

OUTSIDE = 0
"""The label of a word outside all spans; the first of every tagging task."""

CERTAIN = 30.0  # logits: as good as a probability of 1, and still finite


def padded(rows: list[list[int]], width: int, value: int = IGNORED) -> list[list[int]]:
    """Fill rows of numbers up to one length.

    Args:
        rows: One list a sentence.
        width: The length.
        value: What is put behind.

    Returns:
        Lists of the same length; longer ones stay as they are.
    """
    return [[*row, *[value] * (width - len(row))] for row in rows]


def word_starts(encoding: BatchEncoding, words: list[list[str]], width: int) -> list[list[int]]:
    """Find the first token of each word.

    Args:
        encoding: What a tokenizer made of the words.
        words: The words of each sentence.
        width: Words of the longest sentence, as far as the labels are padded.

    Returns:
        Per sentence the token's position for each word, `UNSEEN` for words without one; padded with `IGNORED`.
    """
    rows = []
    for index, sentence in enumerate(words):
        first: dict[int, int] = {}
        for place, word in enumerate(encoding.word_ids(index)):
            if word is not None:
                first.setdefault(word, place)
        rows.append([first.get(number, UNSEEN) for number in range(len(sentence))])
    unseen = sum(row.count(UNSEEN) for row in rows)
    if unseen:
        say(
            f"{unseen} of {sum(map(len, rows))} words have no token that the model reads: they count as outside"
        )
    return padded(rows, width)


def check_tells_words(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that does not say which token belongs to which word, or moves tokens when it pads.

    Args:
        tokenizer: The model's tokenizer.

    Raises:
        ModelError: If it is a slow one, or pads on the left.
    """
    if tokenizer.padding_side != "right":
        raise ModelError(
            "this tokenizer pads on the left, and words are looked up by their places from there: save it with "
            "padding_side='right'"
        )
    if not tokenizer.is_fast:
        raise ModelError(
            "this tokenizer does not say which token belongs to which word: save a fast one (tokenizer.json) into "
            "the model's folder"
        )


def token_labels(labels: Any, starts: Any, width: int) -> np.ndarray:
    """Put the words' labels at their first tokens.

    Args:
        labels: Label ids of the words, (batch, words), padded with `IGNORED`.
        starts: Their first tokens, (batch, words).
        width: Tokens of the padded batch.

    Returns:
        (batch, width) of int64, `IGNORED` at all other tokens.
    """
    labels, starts = np.asarray(labels, dtype=np.int64), np.asarray(starts, dtype=np.int64)
    found = np.full((len(starts), width), IGNORED, dtype=np.int64)
    row, word = np.nonzero(starts >= 0)
    found[row, starts[row, word]] = labels[row, word]
    return found


def asked(logits: np.ndarray) -> np.ndarray:
    """Return which words are asked, (rows, words), of answers (rows, words, labels): padding has no number at all."""
    return ~np.isnan(logits).all(axis=-1)


class Gathered:
    """Collects a model's answers on a data set, batch by batch, in the data set's order.

    They are its `logits`: float32, (rows, labels); for a tagging task (rows, words, labels), padded with NaN, where
    words that the model does not see are answered `OUTSIDE`; for questions (rows, tokens, 2), padded with NaN.

    Args:
        encoded: A data set made by `leanformer.tasks.encode.encode`.
        labels: Outputs of the head.
    """

    def __init__(self, encoded: Dataset, labels: int) -> None:
        self.starts = np.asarray(encoded[STARTS][:]) if STARTS in encoded.column_names else None
        if OFFSETS in encoded.column_names:  # each token is its own word
            lengths = np.array([len(tokens) for tokens in encoded["input_ids"][:]])
            places = np.arange(len(encoded[0][OFFSETS]) // 2)
            self.starts = np.where(places < lengths[:, None], places, IGNORED)
        if self.starts is None:
            self.logits = np.empty((len(encoded), labels), dtype=np.float32)
            return
        self.logits = np.full((*self.starts.shape, labels), np.nan, dtype=np.float32)
        self.logits[self.starts == UNSEEN] = np.where(np.arange(labels) == OUTSIDE, 0.0, -CERTAIN)

    def put(self, indices: np.ndarray, answer: np.ndarray) -> None:
        """Take the answers of a batch.

        Args:
            indices: Positions of its rows, (batch,).
            answer: (batch, labels), or (batch, tokens, labels).
        """
        if self.starts is None:
            self.logits[indices] = answer
            return
        row, word = np.nonzero(self.starts[indices] >= 0)
        self.logits[indices[row], word] = answer[row, self.starts[indices[row], word]]
