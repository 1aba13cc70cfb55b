"""The proof that an exported model computes what the PyTorch model computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leanformer.errors import ModelError
from leanformer.export.runtimes import Runner, arrays
from leanformer.tasks.encode import batches, encode, model_max_tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOLERANCE = 1e-5  # of the largest logit, where that exceeds 1: float32 has 7 digits
ROWS = 24
BATCH_SIZES = (1, 5)
SENTENCES = (
    "No.",
    "The film was shown twice.",
    "A quiet story about two brothers who keep a lighthouse.",
    "Nobody in the audience expected that the second half would be so much better than the first one.",
    "The train was late, the room was cold, and the soup tasted of nothing; still, we would come again.",
    "It works.",
    "She asked for a table near the window, but they had already given it to someone else that evening.",
)


def sample_texts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Encode a few English sentences of different lengths, for an export without data.

    Args:
        model: The model, which limits the length.
        tokenizer: Its tokenizer.

    Returns:
        The encoded sentences.
    """
    from datasets import Dataset

    texts = Dataset.from_dict({"text": SENTENCES, "row": range(1, len(SENTENCES) + 1)})
    return encode(texts, tokenizer, model_max_tokens(model, tokenizer), truncate=True)


def spread(encoded: Dataset, rows: int) -> Dataset:
    """Pick rows evenly over the range of lengths.

    Args:
        encoded: A data set made by `leanformer.tasks.encode.encode`.
        rows: How many; all when there are fewer.

    Returns:
        The rows, from long to short.
    """
    order = np.argsort([-len(tokens) for tokens in encoded["input_ids"][:]], kind="stable")
    chosen = np.linspace(0, len(order) - 1, num=min(rows, len(order))).round().astype(int)
    return encoded.select(order[chosen])


def max_difference(
    model: PreTrainedModel, runner: Runner, encoded: Dataset, tokenizer: PreTrainedTokenizerBase
) -> tuple[float, float]:
    """Compare a runner with PyTorch on real texts, in several batch sizes and lengths.

    Args:
        model: The PyTorch model, in eval mode.
        runner: The exported one.
        encoded: Texts to compare on; a spread of them is used.
        tokenizer: Its tokenizer.

    Returns:
        The largest absolute difference of a logit, and the largest absolute logit.
    """
    import torch

    differences, largest = [], 0.0
    texts = spread(encoded, ROWS)
    for batch_size in BATCH_SIZES:
        for _, batch in batches(texts, tokenizer, batch_size):
            inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
            with torch.inference_mode():
                expected = model(**inputs).logits.numpy()  # (batch, num_labels)
            differences.append(np.abs(runner(arrays(inputs)) - expected).max())
            largest = max(largest, float(np.abs(expected).max()))
    return float(np.max(differences)), largest  # numpy's max, unlike Python's, keeps what is not a number


def check_parity(
    model: PreTrainedModel, runner: Runner, encoded: Dataset, tokenizer: PreTrainedTokenizerBase
) -> float:
    """Refuse an exported model that does not compute the same.

    Args:
        model: The PyTorch model, in eval mode.
        runner: The exported one, in float32.
        encoded: Texts to compare on.
        tokenizer: Its tokenizer.

    Returns:
        The largest absolute difference of a logit.

    Raises:
        ModelError: If it exceeds 1e-5 (of the largest logit, where that is above 1).
    """
    difference, largest = max_difference(model, runner, encoded, tokenizer)
    allowed = TOLERANCE * max(1.0, largest)
    if not difference <= allowed:  # also when it is not a number
        raise ModelError(
            f"the model exported for {runner.name} differs from the PyTorch model by {difference:.2g} in a logit "
            f"({allowed:.1g} is allowed): nothing was written; please report the model and these versions"
        )
    return difference
