"""What batching by length is worth: how many of the computed tokens are padding. Counted, without a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from leanformer.errors import DataError

# "longest-possible": each text padded to the most that the model takes. "given": in the given order, padded to the
# batch's longest. "sorted": texts of like length together, as `leanformer.tasks.encode.batches` does.
Batching = Literal["longest-possible", "given", "sorted"]
BATCHINGS: tuple[Batching, ...] = ("longest-possible", "given", "sorted")


@dataclass(frozen=True)
class Padding:
    """What one way to batch computes.

    Attributes:
        batching: One of `BATCHINGS`.
        batch: Texts a batch; the last one may be smaller.
        text_tokens: Tokens of the texts, special tokens included.
        computed_tokens: Tokens that the model computes, padding included.
        padding_share: The share of them that is padding, from 0 to 1.
        tokens_ratio: Computed tokens over those of the length-sorted batches of the same size.
    """

    batching: Batching
    batch: int
    text_tokens: int
    computed_tokens: int
    padding_share: float
    tokens_ratio: float


def padding(lengths: Sequence[int], max_tokens: int, batches: Sequence[int] = (1, 8, 32)) -> list[Padding]:
    """Count what each way to batch computes on the user's texts.

    Args:
        lengths: Tokens of each text in the given order, special tokens included: the lengths of `input_ids` of a
            data set made by `leanformer.tasks.encode.encode`.
        max_tokens: The length that texts are padded to where it is not the batch's own.
        batches: Batch sizes, in texts.

    Returns:
        One count for each batch size and each of `BATCHINGS`, in this order.

    Raises:
        DataError: If there are no texts, a batch is empty, or a text is longer than `max_tokens`.
    """
    tokens = np.asarray(lengths, dtype=np.int64)
    if len(tokens) == 0:
        raise DataError("there are no texts whose padding could be counted")
    if min(batches, default=1) < 1:
        raise DataError(f"a batch of {min(batches)} texts has no padding: give 1 or more")
    if tokens.max() > max_tokens:
        raise DataError(
            f"a text has {tokens.max()} tokens, more than the {max_tokens} that texts are padded to"
        )
    counts = []
    for batch in batches:
        computed = {
            "longest-possible": len(tokens) * max_tokens,
            "given": _computed(tokens, batch),
            "sorted": _computed(np.sort(tokens)[::-1], batch),
        }
        counts += [
            _count(name, batch, int(tokens.sum()), computed[name], computed["sorted"]) for name in BATCHINGS
        ]
    return counts


def _computed(tokens: np.ndarray, batch: int) -> int:
    """Add up batches of (texts) in this order, each padded to its own longest."""
    starts = np.arange(0, len(tokens), batch)
    longest = np.maximum.reduceat(tokens, starts)
    texts = np.diff(np.append(starts, len(tokens)))
    return int((longest * texts).sum())


def _count(batching: Batching, batch: int, text_tokens: int, computed: int, fewest: int) -> Padding:
    return Padding(batching, batch, text_tokens, computed, 1 - text_tokens / computed, computed / fewest)
