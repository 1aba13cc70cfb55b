"""From texts to token ids, and from token ids to padded batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.errors import DataError, ModelError, RunError
from leanformer.tasks.questions import ANSWERS
from leanformer.tasks.strides import encode_strides, place_labels
from leanformer.tasks.words import OFFSETS, STARTS, WORDS, check_tells_words, token_labels, word_starts

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODEL_COLUMNS = ("input_ids", "attention_mask", "token_type_ids")
NO_LIMIT = 1_000_000  # tokenizers without a limit carry a huge number instead


def model_max_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Find the longest input, special tokens included, that a model takes.

    Args:
        model: Any encoder of transformers.
        tokenizer: Its tokenizer, which may ask for less.

    Returns:
        A number of tokens.

    Raises:
        ModelError: If neither the model nor the tokenizer says how long a text may be.
    """
    limits = [
        limit for limit in (_positions(model), tokenizer.model_max_length) if limit and limit < NO_LIMIT
    ]
    if not limits:
        raise ModelError(
            f"neither the model of type '{model.config.model_type}' nor its tokenizer says how many tokens a "
            "text may have: set model_max_length in tokenizer_config.json"
        )
    return int(min(limits))


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int | None) -> int:
    """Return how many tokens a text may have.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        max_tokens: What the user asked for, if anything.

    Returns:
        The user's number, or what the model takes.

    Raises:
        RunError: If the user asks for more than the model takes, or for less than any text needs.
    """
    most = model_max_tokens(model, tokenizer)
    if max_tokens is not None and max_tokens > most:
        raise RunError(f"the model takes {most} tokens at most: give --max-tokens {most} or fewer")
    special = tokenizer.num_special_tokens_to_add()
    if max_tokens is not None and max_tokens <= special:
        raise RunError(f"--max-tokens {max_tokens} leaves no text: give {special + 1} or more")
    return max_tokens or most


def _positions(model: PreTrainedModel) -> int | None:
    """Count the usable positions; RoBERTa and its kin start to count after the padding index."""
    positions = getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return module.num_embeddings - module.padding_idx - 1
    return positions


def encode(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_tokens: int, truncate: bool) -> Dataset:
    """Add the model's input columns to a data set.

    Args:
        dataset: Rows with `text`, optionally `text_pair`, and `row`; of a tagging task with `words` and `label`; of
            questions as `leanformer.tasks.questions.question_rows` makes them.
        tokenizer: The model's tokenizer.
        max_tokens: The longest input allowed, special tokens included.
        truncate: Cut longer texts (the longer of two first); else they are an error.

    Returns:
        The data set with `input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids`; beside
        `words` also `starts`, see `leanformer.tasks.words.word_starts`. Of questions one row a stride, see
        `leanformer.tasks.strides.encode_strides`.

    Raises:
        DataError: If a text is longer than `max_tokens` and `truncate` is false.
        ModelError: If words or places are asked, and the tokenizer does not tell them.
    """
    from datasets import Dataset

    if ANSWERS in dataset.column_names:
        return Dataset.from_dict(
            encode_strides(dataset, tokenizer, max_tokens, truncate), split=dataset.split
        )
    tagging = WORDS in dataset.column_names
    texts = dataset[WORDS if tagging else "text"][:]
    pairs = dataset["text_pair"][:] if "text_pair" in dataset.column_names else None
    limits: dict[str, Any] = (
        {"truncation": True, "max_length": max_tokens} if truncate else {"verbose": False}
    )
    if tagging:
        check_tells_words(tokenizer)
        limits["is_split_into_words"] = True
    encoding = tokenizer(texts, pairs, padding=False, return_attention_mask=True, **limits)
    _check_lengths(dataset, encoding["input_ids"], max_tokens)
    inputs = {name: encoding[name] for name in MODEL_COLUMNS if name in encoding}
    if tagging:
        inputs[STARTS] = word_starts(encoding, texts, width=len(dataset[0]["label"]))
    columns = {name: dataset[name][:] for name in dataset.column_names}
    return Dataset.from_dict({**columns, **inputs}, split=dataset.split)


def _check_lengths(dataset: Dataset, input_ids: list[list[int]], max_tokens: int) -> None:
    """Refuse the first text that is too long, and say how many there are."""
    too_long = [index for index, tokens in enumerate(input_ids) if len(tokens) > max_tokens]
    if too_long:
        first = too_long[0]
        where = f"{dataset.split} row" if dataset.split else "row"
        tokens, row = len(input_ids[first]), dataset[first]["row"]
        raise DataError(
            f"the text in {where} {row} has {tokens} tokens but the model takes {max_tokens} at most "
            f"({len(too_long)} of {len(input_ids)} rows are too long): shorten them, or "
            "cut them with --truncate"
        )


def batches(
    encoded: Dataset, tokenizer: PreTrainedTokenizerBase, batch_size: int = 32
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Go through a data set in batches of like length, each padded to its own longest text.

    Args:
        encoded: A data set made by `encode`.
        tokenizer: Its tokenizer, which knows how to pad.
        batch_size: Rows a batch; the last one may be smaller.

    Yields:
        The positions of the rows in the data set, (batch,), and the tensors: `input_ids`, `attention_mask`
        and `token_type_ids` of (batch, tokens), and `labels` of (batch,), long or float32; of a tagging task
        (batch, tokens), see `leanformer.tasks.words.token_labels`; of questions (batch, tokens, 2), see
        `leanformer.tasks.strides.place_labels`.
    """
    import torch
    from transformers import DataCollatorWithPadding

    collate = DataCollatorWithPadding(tokenizer)
    columns = [name for name in (*MODEL_COLUMNS, "label", STARTS) if name in encoded.column_names]
    asks_places = OFFSETS in encoded.column_names
    table = encoded.select_columns(columns).with_format(None)
    order = np.argsort([-len(tokens) for tokens in table["input_ids"][:]], kind="stable")
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        rows = table[indices]
        starts = rows.pop(STARTS, None)
        labels = rows.pop("label") if starts or asks_places else None
        examples = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
        batch = dict(collate(examples))
        if starts:
            batch["labels"] = torch.from_numpy(token_labels(labels, starts, batch["input_ids"].shape[1]))
        elif asks_places:
            lengths = [len(tokens) for tokens in rows["input_ids"]]
            batch["labels"] = torch.from_numpy(place_labels(labels, lengths, batch["input_ids"].shape[1]))
        yield indices, batch
