"""The batches that are timed: real texts, of like length, over all lengths that occur."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leanformer.export.runtimes import arrays
from leanformer.tasks.encode import batches as padded_batches

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

ROWS_A_ROUND = 40  # split into batches of the size that is timed, within the limits below
FEWEST_BATCHES, MOST_BATCHES = 4, 12


def sample_batches(
    encoded: Dataset, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> list[dict[str, np.ndarray]]:
    """Pick full batches of like length, spread evenly over the lengths that occur.

    Args:
        encoded: The data set.
        tokenizer: Its tokenizer.
        batch_size: Texts a batch.

    Returns:
        4 to 12 batches (fewer where there are too few texts), from long to short, int64 arrays of (batch, tokens).
    """
    order = np.argsort([-len(tokens) for tokens in encoded["input_ids"][:]], kind="stable")
    full = len(order) // batch_size
    count = min(full, int(np.clip(ROWS_A_ROUND // batch_size, FEWEST_BATCHES, MOST_BATCHES)))
    numbers = ((np.arange(count) + 0.5) * full / count).astype(
        int
    )  # the middle of each of `count` equal parts
    chosen = [encoded.select(order[number * batch_size : (number + 1) * batch_size]) for number in numbers]
    return [arrays(batch) for rows in chosen for _, batch in padded_batches(rows, tokenizer, batch_size)]
