"""From questions and their texts to what a model reads: long texts in strides that overlap, one row a stride.

The strides of a question bear its `row`. An answer that is not longer than the overlap stands whole in one of them
at least; in a stride that does not hold it whole, the answer is the first token (Devlin et al. 2019, section 4.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.errors import DataError
from leanformer.tasks.questions import ANSWERS, BEGINS
from leanformer.tasks.words import IGNORED, OFFSETS, check_tells_words

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import BatchEncoding, PreTrainedTokenizerBase

OVERLAP = 128
"""Tokens that two strides share, or half of what a stride holds of the text, if that is less."""

NOWHERE = 0  # the first token


def encode_strides(
    dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_tokens: int, truncate: bool
) -> dict[str, list[Any]]:
    """Encode questions with their texts.

    Args:
        dataset: Rows as `leanformer.tasks.questions.question_rows` makes them.
        tokenizer: The model's tokenizer.
        max_tokens: The longest input allowed, special tokens included.
        truncate: Cut questions that take more than half of that; else they are an error. Texts are never cut.

    Returns:
        The columns of the data set, repeated for each stride; the model's input columns; `offsets`; and `label`, the
        tokens at which the first answer starts and ends.

    Raises:
        DataError: If a question is too long and `truncate` is false.
        ModelError: If the tokenizer does not say where tokens stand, or pads on the left.
    """
    check_tells_words(tokenizer)
    columns = {name: dataset[name][:] for name in dataset.column_names}
    special = tokenizer.num_special_tokens_to_add(pair=True)
    asked, lengths = _questions(dataset, columns["text"], tokenizer, (max_tokens - special) // 2, truncate)
    overlaps = np.minimum(OVERLAP, (max_tokens - special - lengths) // 2)
    strides: list[tuple[int, dict[str, Any], np.ndarray]] = []
    for overlap in np.unique(overlaps):  # the tokenizer takes one for all
        chosen = np.flatnonzero(overlaps == overlap)
        encoding = tokenizer(
            [asked[row] for row in chosen],
            [columns["text_pair"][row] for row in chosen],
            truncation="only_second",
            max_length=max_tokens,
            stride=int(overlap),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=True,
        )
        strides += _strides(encoding, chosen, columns["text_pair"])
    strides.sort(key=lambda stride: stride[0])  # of one question they stay in order
    origin = [row for row, _, _ in strides]
    width = max(len(offsets) for _, _, offsets in strides)
    padded = np.zeros((len(strides), width, 2), dtype=np.int32)
    for place, (_, _, offsets) in enumerate(strides):
        padded[place, : len(offsets)] = offsets
    inputs = {name: [one[name] for _, one, _ in strides] for name in strides[0][1]}
    found = {name: [values[row] for row in origin] for name, values in columns.items()}
    labels = _labels(origin, [offsets for _, _, offsets in strides], columns)
    return {**found, "label": labels, **inputs, OFFSETS: list(padded.reshape(len(strides), -1))}


def _questions(
    dataset: Dataset, questions: list[str], tokenizer: PreTrainedTokenizerBase, most: int, truncate: bool
) -> tuple[list[str], np.ndarray]:
    """Return the questions, cut where they may be, and how many tokens each has."""
    encoding = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    lengths = np.array([len(tokens) for tokens in encoding["input_ids"]])
    too_long = np.flatnonzero(lengths > most)
    if not len(too_long):
        return questions, lengths
    if not truncate:
        first = int(too_long[0])
        where = f"{dataset.split} row" if dataset.split else "row"
        raise DataError(
            f"the question in {where} {dataset[first]['row']} has {lengths[first]} tokens, and {most}, half of what "
            f"is read at once, are the most ({len(too_long)} of {len(questions)} questions are too long): shorten "
            "them, raise --max-tokens, or cut them with --truncate"
        )
    cut = list(questions)
    for row in too_long:
        cut[row] = cut[row][: encoding["offset_mapping"][row][most - 1][1]]
    return cut, np.minimum(lengths, most)


def _strides(
    encoding: BatchEncoding, rows: np.ndarray, contexts: list[str]
) -> list[tuple[int, dict[str, Any], np.ndarray]]:
    """Return for each stride its question, the model's inputs, and the offsets of its tokens, (tokens, 2)."""
    from leanformer.tasks.encode import MODEL_COLUMNS

    found = []
    for place, sample in enumerate(encoding["overflow_to_sample_mapping"]):
        row = int(rows[sample])
        inputs = {name: encoding[name][place] for name in MODEL_COLUMNS if name in encoding}
        offsets = np.array(encoding["offset_mapping"][place], dtype=np.int32)
        offsets[np.array([part != 1 for part in encoding.sequence_ids(place)])] = 0
        for token, (begin, end) in enumerate(offsets.tolist()):
            if (
                begin < end and contexts[row][begin].isspace()
            ):  # of some tokenizers the blank before is a part
                offsets[token, 0] = end - len(contexts[row][begin:end].lstrip())
        found.append((row, inputs, offsets))
    return found


def _labels(origin: list[int], offsets: list[np.ndarray], columns: dict[str, list[Any]]) -> list[list[int]]:
    """Return where the first answer of each stride's question starts and ends."""
    labels = []
    for place, row in enumerate(origin):
        text, begin = columns[ANSWERS][row][0], columns[BEGINS][row][0]
        first, last = origin[place - 1 : place] != [row], origin[place + 1 : place + 2] != [row]
        inside = (0 if first else None, len(columns["text_pair"][row]) if last else None)
        start = begin + len(text) - len(text.lstrip())
        labels.append(answer_places(offsets[place], start, begin + len(text.rstrip()), *inside))
    return labels


def answer_places(
    offsets: np.ndarray, begin: int, end: int, low: int | None = None, high: int | None = None
) -> list[int]:
    """Find the tokens at which an answer starts and ends.

    Args:
        offsets: The characters of each token, (tokens, 2).
        begin: The first character of the answer.
        end: The one behind its last.
        low: From which character on the text is there; by default its first token's.
        high: Up to which; by default its last token's.

    Returns:
        The first and the last token that stand for a part of the answer; `NOWHERE` twice where it is not whole.
    """
    asked = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    if not len(asked):
        return [NOWHERE, NOWHERE]
    low = int(offsets[asked[0], 0]) if low is None else low
    high = int(offsets[asked[-1], 1]) if high is None else high
    touched = asked[(offsets[asked, 1] > begin) & (offsets[asked, 0] < end)]
    if not len(touched) or begin < low or end > high:
        return [NOWHERE, NOWHERE]
    return [int(touched[0]), int(touched[-1])]


def place_labels(places: Any, lengths: Any, width: int) -> np.ndarray:
    """Spell out where answers start and end.

    Args:
        places: Start and end of each row, (batch, 2).
        lengths: Tokens of each row, (batch,).
        width: Tokens of the padded batch.

    Returns:
        (batch, width, 2) of int64: 1 for the token, 0 for others, `IGNORED` for padding.
    """
    places, lengths = np.asarray(places, dtype=np.int64), np.asarray(lengths, dtype=np.int64)
    found = np.where(np.arange(width)[None, :, None] < lengths[:, None, None], 0, IGNORED).repeat(2, axis=2)
    rows = np.arange(len(places))
    for kind in (0, 1):
        found[rows, places[:, kind], kind] = 1
    return found
