"""Rows of a masked language model: texts with blanks, and what stood there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from leanformer.tasks.encode import MODEL_COLUMNS
from leanformer.tasks.words import STARTS, padded

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

MASKED = 0.15
"""Share of the tokens that is asked for; of these 8 in 10 are masked, 1 is another token, 1 stays (BERT)."""

FEWEST_TOKENS = 8


def blank_rows(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
    seed: int,
    unasked: Collection[int] = (),
) -> Dataset:
    """Encode texts with blanks, drawn once.

    Args:
        texts: The texts; what is too long is cut, what is shorter than `FEWEST_TOKENS` left out.
        tokenizer: Has a mask token.
        longest: Tokens of a row.
        seed: Of the draw.
        unasked: Tokens whose blanks have no label.

    Returns:
        Rows with the model's input columns, `starts` (the positions of the blanks) and `label` (the tokens that stood
        there).
    """
    from datasets import Dataset

    generator = np.random.default_rng(seed)
    special = set(tokenizer.all_special_ids)
    encoding = tokenizer(list(texts), truncation=True, max_length=longest)
    columns: dict[str, list[list[int]]] = {name: [] for name in MODEL_COLUMNS if name in encoding}
    starts, labels = [], []
    for number, tokens in enumerate(encoding["input_ids"]):
        inner = [place for place, token in enumerate(tokens) if token not in special]
        if len(inner) < FEWEST_TOKENS:
            continue
        count = max(1, round(MASKED * len(inner)))
        places = sorted(int(place) for place in generator.choice(inner, count, replace=False))
        filled = list(tokens)
        for place in places:
            chance = generator.random()
            if chance < 0.8:
                filled[place] = tokenizer.mask_token_id
            elif chance < 0.9:
                filled[place] = int(generator.integers(len(tokenizer)))
        asked = [place for place in places if tokens[place] not in unasked]
        for name in columns:
            columns[name].append(filled if name == "input_ids" else list(encoding[name][number]))
        starts.append(asked)
        labels.append([tokens[place] for place in asked])
    widest = max(1, *map(len, starts)) if starts else 1
    return Dataset.from_dict({**columns, "label": padded(labels, widest), STARTS: padded(starts, widest)})
