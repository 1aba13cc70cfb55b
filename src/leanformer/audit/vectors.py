"""Vectors of sentences and of words in sentences, from any encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.tasks.encode import MODEL_COLUMNS, batches, encode, model_max_tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from leanformer.audit.models import Asked

BATCH = 64
Vectors = NDArray[np.float32]


def check_whole(model: PreTrainedModel) -> None:
    """Refuse a model that does not read texts to the end.

    Args:
        model: An encoder, with any head or none.

    Raises:
        ModelError: Tokens or texts leave it on the way.
    """
    view = EncoderView(model)
    if view.kept_tokens(view.n_layers - 1) < 1 or getattr(model.config, "exits", None):
        raise ModelError(
            "tokens or texts leave the model on the way, so that its layers do not read whole texts: measure the "
            "dense model"
        )


def sentence_vectors(asked: Asked, texts: Sequence[str]) -> Vectors:
    """Return the mean of the last layer's states over a text's tokens, special ones included.

    Args:
        asked: The model.
        texts: The texts; what is too long is cut.

    Returns:
        (texts, hidden).
    """
    found: Vectors = np.empty((len(texts), asked.model.config.hidden_size), np.float32)
    for rows, states, mask in _states(asked, _encoded(asked, texts)):
        weights = mask[..., None]  # (batch, tokens, 1)
        found[rows] = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return found


def word_vectors(asked: Asked, texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> Vectors:
    """Return the mean of the last layer's states over the pieces of one stretch of each text.

    The target token of Tan and Celis 2019 (arXiv 1911.01485); of several pieces, their mean.

    Args:
        asked: The model.
        texts: The texts.
        spans: Where the stretch begins and ends in each text, in characters.

    Returns:
        (texts, hidden); NaN where the stretch lies behind what the model can read.
    """
    found: Vectors = np.full((len(texts), asked.model.config.hidden_size), np.nan, np.float32)
    pieces = pieces_within(asked, texts, spans)
    for rows, states, _ in _states(asked, _encoded(asked, texts)):
        for row, tokens in zip(rows, states, strict=True):
            if pieces[row]:
                found[row] = tokens[pieces[row]].mean(axis=0)
    return found


def pieces_within(asked: Asked, texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Find which tokens of each text make up a stretch of it.

    Args:
        asked: The model, for its tokenizer and its longest input.
        texts: The texts.
        spans: Where the stretch begins and ends in each text, in characters.

    Returns:
        Positions of tokens, by text; none where they are cut off.
    """
    offsets = token_offsets(asked, texts)
    return [overlapping(tokens, span) for tokens, span in zip(offsets, spans, strict=True)]


def token_offsets(asked: Asked, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Return where in its text each token begins and ends, in characters; special ones at (0, 0).

    Args:
        asked: The model.
        texts: The texts.

    Returns:
        One list a text.
    """
    longest = model_max_tokens(asked.model, asked.tokenizer)
    encoding = asked.tokenizer(list(texts), return_offsets_mapping=True, truncation=True, max_length=longest)
    offsets: list[list[tuple[int, int]]] = encoding["offset_mapping"]
    return offsets


def overlapping(tokens: Sequence[tuple[int, int]], span: tuple[int, int]) -> list[int]:
    """Return the positions of the tokens that share a character with a stretch.

    Args:
        tokens: Where each begins and ends.
        span: Where the stretch does.

    Returns:
        The positions, in order.
    """
    return [
        position for position, (start, end) in enumerate(tokens) if max(start, span[0]) < min(end, span[1])
    ]


def _encoded(asked: Asked, texts: Sequence[str]) -> Dataset:
    from datasets import Dataset

    rows = Dataset.from_dict({"text": list(texts), "row": list(range(1, len(texts) + 1))})
    encoded = encode(rows, asked.tokenizer, model_max_tokens(asked.model, asked.tokenizer), truncate=True)
    return encoded.select_columns([name for name in MODEL_COLUMNS if name in encoded.column_names])


def _states(asked: Asked, encoded: Dataset) -> Iterator[tuple[NDArray[np.int64], Vectors, Vectors]]:
    """Yield the rows of each batch, their last states (batch, tokens, hidden), and which tokens are theirs."""
    import torch

    from leanformer.gpu import borrowed

    encoder = asked.model.base_model
    with borrowed(asked.model) as device, torch.inference_mode():
        for rows, batch in batches(encoded, asked.tokenizer, BATCH):
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            states = encoder(**inputs).last_hidden_state.float().cpu().numpy()
            yield rows, states, batch["attention_mask"].numpy().astype(np.float32)
