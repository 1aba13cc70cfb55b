"""A task model as an audit asks it: texts go in, answers come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.predict import predict

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Answer = Callable[["Dataset"], NDArray[np.floating]]
"""Gives a model's logits on encoded rows."""


class Answering(NamedTuple):
    """What answers, and how texts are put to it.

    Attributes:
        answer: Gives the logits on encoded rows, (rows, classes).
        tokenizer: Its tokenizer.
        max_tokens: Longest input; longer ones are cut, for a twin may be longer than its text.
    """

    answer: Answer
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int

    def __call__(self, texts: Dataset) -> NDArray[np.floating]:
        """Return the logits on rows with `text`, perhaps `text_pair`, and `row`: (rows, classes)."""
        return self.answer(encode(texts, self.tokenizer, self.max_tokens, truncate=True))


def of_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int | None = None
) -> Answering:
    """Ask a model of PyTorch.

    Args:
        model: A classifier, or a regression.
        tokenizer: Its tokenizer.
        max_tokens: Longest input; None takes what the model takes.

    Returns:
        What answers.

    Raises:
        RunError: If `max_tokens` is more than the model takes.
    """
    longest = longest_input(model, tokenizer, max_tokens)
    return Answering(lambda rows: predict(model, rows, tokenizer), tokenizer, longest)
