"""The proof that an exported model computes what the PyTorch model computes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from leanformer.encoders.outputs import logits_of
from leanformer.errors import ModelError
from leanformer.export.runtimes import Runner, arrays
from leanformer.tasks.encode import batches, encode, model_max_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOLERANCE = 1e-5  # of the largest logit, where that exceeds 1: float32 has 7 digits
ROUNDING = 4.0
"""A runtime may lie so many times as far from the answer in float64 as PyTorch in float32 does: rounding alone parts
a 12-layer e5-small from itself by more than `TOLERANCE`."""
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
    pairs = [(runner(arrays(inputs)), _logits(model, inputs)) for inputs in _inputs(encoded, tokenizer)]
    largest = max(float(np.abs(expected).max()) for _, expected in pairs)
    return _furthest(pairs), largest


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
        ModelError: If it exceeds 1e-5 (of the largest logit, where that is above 1), and the exported model lies more
            than `ROUNDING` times as far from the answer in float64 as PyTorch in float32 does.
    """
    difference, largest = max_difference(model, runner, encoded, tokenizer)
    allowed = TOLERANCE * max(1.0, largest)
    if difference <= allowed:  # not if it is not a number
        return difference
    own, runtimes = rounding(model, runner, encoded, tokenizer)
    if not runtimes <= ROUNDING * own:
        raise ModelError(
            f"the model exported for {runner.name} differs from the PyTorch model by {difference:.2g} in a logit "
            f"({allowed:.1g} is allowed), and from its answer in float64 by {runtimes:.2g}, where PyTorch's own "
            f"rounding is {own:.2g}: nothing was written; please report the model and these versions"
        )
    return difference


def rounding(
    model: PreTrainedModel, runner: Runner, encoded: Dataset, tokenizer: PreTrainedTokenizerBase
) -> tuple[float, float]:
    """Return what float32 costs in accuracy: how far a logit is from the answer in float64.

    Args:
        model: The PyTorch model, in float32 and eval mode.
        runner: The exported one.
        encoded: Texts to compare on; the same spread as in `max_difference`.
        tokenizer: Its tokenizer.

    Returns:
        The largest absolute difference in PyTorch, and in the runner.
    """
    exact = copy.deepcopy(model).double()
    own, runtimes = [], []
    for inputs in _inputs(encoded, tokenizer):
        answer = _logits(exact, inputs)
        own.append((_logits(model, inputs), answer))
        runtimes.append((runner(arrays(inputs)), answer))
    return _furthest(own), _furthest(runtimes)


def _inputs(encoded: Dataset, tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, Tensor]]:
    """Go through a spread of texts in several batch sizes."""
    texts = spread(encoded, ROWS)
    for batch_size in BATCH_SIZES:
        for _, batch in batches(texts, tokenizer, batch_size):
            yield {name: tensor for name, tensor in batch.items() if name != "labels"}


def _logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """A PyTorch model's answers, (batch, num_labels)."""
    import torch

    with torch.inference_mode():
        logits: np.ndarray = logits_of(model(**inputs)).numpy()
    return logits


def _furthest(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """The largest absolute difference; numpy's max, unlike Python's, keeps what is not a number."""
    return float(np.max([np.abs(one - other).max() for one, other in pairs]))
