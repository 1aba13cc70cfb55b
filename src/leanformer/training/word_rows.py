"""Rows of a training on words in sentences: which tokens a word is, as labels of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leanformer.audit.mentions import KINDS, Mention
from leanformer.audit.vectors import overlapping
from leanformer.tasks.encode import MODEL_COLUMNS
from leanformer.tasks.words import STARTS, padded

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

MOST_TOKENS = 64


def word_rows(
    mentions: Sequence[Mention], tokenizer: PreTrainedTokenizerBase, longest: int = MOST_TOKENS
) -> Dataset:
    """Encode sentences with the place of their word.

    Args:
        mentions: The sentences.
        tokenizer: Tells where in a text its tokens lie.
        longest: Tokens of a sentence; what is longer is cut.

    Returns:
        Rows with the model's input columns, `starts` (the positions of the word's tokens) and `label` (what each of
        them is, a position in `KINDS`). Sentences whose word is cut off altogether are left out.
    """
    from datasets import Dataset

    encoding = tokenizer(
        [one.text for one in mentions], return_offsets_mapping=True, truncation=True, max_length=longest
    )
    places = [
        overlapping(offsets, one.span)
        for offsets, one in zip(encoding["offset_mapping"], mentions, strict=True)
    ]
    whole = [number for number, found in enumerate(places) if found]
    columns = {
        name: [encoding[name][number] for number in whole] for name in MODEL_COLUMNS if name in encoding
    }
    widest = max((len(places[number]) for number in whole), default=0)
    kinds = [[KINDS.index(mentions[number].kind)] * len(places[number]) for number in whole]
    starts = [places[number] for number in whole]
    return Dataset.from_dict({**columns, "label": padded(kinds, widest), STARTS: padded(starts, widest)})
