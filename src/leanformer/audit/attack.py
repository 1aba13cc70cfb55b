"""Typing errors that turn answers: an attack on words, made without a dictionary.

After TextBugger (Li et al. 2019, arXiv 1812.05271), black box, its character bugs alone: a reconstruction. Words are
ranked by what the true label loses without them; one after another gets the bug that hurts most, until the answer
turns or the budget is spent. Readers read over such errors, so that the label stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from datasets import Dataset

from leanformer.progress import bar
from leanformer.tasks.encode import MODEL_COLUMNS, encode, model_max_tokens
from leanformer.tasks.predict import predict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LEAST_LETTERS = 4
"""Shorter words are left alone: a bug would make other words of them."""


@dataclass(frozen=True)
class Attacked:
    """What is left of a classifier's accuracy under attack.

    Attributes:
        clean: Share of right answers on the texts as they are.
        attacked: Share of answers that are right, and stay so.
        n: Texts.
        changed_words: Mean number of words that had to be changed where an answer turned.
    """

    clean: float
    attacked: float
    n: int
    changed_words: float


@dataclass
class _Victim:
    """A text under attack: its two parts as words, and where the attack stands."""

    row: int
    parts: list[list[str]]
    order: list[tuple[int, int]]
    changed: int = 0

    def with_word(self, place: tuple[int, int], word: str | None) -> list[list[str]]:
        """Return the parts with another word at a place, or without it."""
        part, position = place
        words = [list(words) for words in self.parts]
        words[part][position : position + 1] = [] if word is None else [word]
        return words


def attack(
    model: PreTrainedModel,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    stage: str,
    most_share: float = 0.3,
) -> Attacked:
    """Attack a classifier.

    Args:
        model: It answers, and is not changed.
        rows: Encoded rows with `text`, perhaps `text_pair`, and `label`.
        tokenizer: The model's tokenizer.
        stage: Name on the progress bar.
        most_share: Of a text's words that may change; one word always may.

    Returns:
        Clean and attacked accuracy.
    """
    asks = _Asks(model, tokenizer)
    labels = np.asarray(rows["label"][:])
    columns = [name for name in ("text", "text_pair") if name in rows.column_names]
    texts = [[str(row[name]).split() for name in columns] for row in rows.select_columns(columns)]
    right = asks.margins(texts, labels) > 0
    victims = [_Victim(row, texts[row], []) for row in np.flatnonzero(right).tolist()]
    _rank_words(victims, asks, labels)
    turned: list[int] = []
    budgets = {v.row: max(1, int(most_share * sum(map(len, v.parts)))) for v in victims}
    with bar() as progress:
        shown = progress.add_task(stage, total=max(budgets.values(), default=0))
        while alive := [v for v in victims if v.changed < min(budgets[v.row], len(v.order))]:
            lost = _next_word(alive, asks, labels)
            turned += [victim.changed for victim in alive if victim.row in lost]
            victims = [victim for victim in alive if victim.row not in lost]
            progress.advance(shown)
        progress.update(shown, completed=max(budgets.values(), default=0))
    clean = float(right.mean())
    return Attacked(
        clean, clean - len(turned) / len(labels), len(labels), float(np.mean(turned)) if turned else 0.0
    )


def bugs(word: str) -> list[str]:
    """Return a word with each of TextBugger's bugs of letters, made in its middle so that it stays readable.

    Args:
        word: At least `LEAST_LETTERS` letters.

    Returns:
        A space within, a letter less, two letters exchanged, a letter like another; each once, the word itself never.
    """
    middle = len(word) // 2
    alike = str.maketrans("olaseitb", "01@5316b")
    made = [
        f"{word[:middle]} {word[middle:]}",
        word[:middle] + word[middle + 1 :],
        word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :],
        word[:middle] + word[middle:].translate(alike),
    ]
    return [bug for bug in dict.fromkeys(made) if bug != word]


class _Asks:
    """Asks a model about texts that are split into words."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.most_tokens = model_max_tokens(model, tokenizer)

    def margins(self, texts: Sequence[list[list[str]]], labels: np.ndarray) -> np.ndarray:
        """Return the true label's logit above the best other one, (texts,); above zero the answer is right."""
        columns = {"text": [" ".join(parts[0]) for parts in texts], "row": list(range(len(texts)))}
        if texts and len(texts[0]) > 1:
            columns["text_pair"] = [" ".join(parts[1]) for parts in texts]
        encoded = encode(Dataset.from_dict(columns), self.tokenizer, self.most_tokens, truncate=True)
        inputs = encoded.select_columns([name for name in MODEL_COLUMNS if name in encoded.column_names])
        logits = predict(self.model, inputs, self.tokenizer, batch_size=64)
        own = logits[np.arange(len(labels)), labels]
        logits[np.arange(len(labels)), labels] = -np.inf
        return own - logits.max(axis=1)


def _places(victim: _Victim) -> Iterator[tuple[int, int]]:
    for part, words in enumerate(victim.parts):
        for position, word in enumerate(words):
            if len(word) >= LEAST_LETTERS and word.isalpha():
                yield part, position


def _rank_words(victims: Sequence[_Victim], asks: _Asks, labels: np.ndarray) -> None:
    """Order each victim's words by the margin that is left without them."""
    asked = [(victim, place) for victim in victims for place in _places(victim)]
    if not asked:
        return
    texts = [victim.with_word(place, None) for victim, place in asked]
    margins = asks.margins(texts, labels[[victim.row for victim, _ in asked]])
    left: dict[int, list[tuple[float, tuple[int, int]]]] = {victim.row: [] for victim in victims}
    for (victim, place), margin in zip(asked, margins, strict=True):
        left[victim.row].append((float(margin), place))
    for victim in victims:
        victim.order = [place for _, place in sorted(left[victim.row])]


def _next_word(alive: Sequence[_Victim], asks: _Asks, labels: np.ndarray) -> set[int]:
    """Change the next word of each victim for the worse; return the rows whose answers turned."""
    asked = [
        (victim, victim.with_word(place, bug))
        for victim in alive
        for place in [victim.order[victim.changed]]
        for bug in bugs(victim.parts[place[0]][place[1]])
    ]
    margins = asks.margins([parts for _, parts in asked], labels[[victim.row for victim, _ in asked]])
    worst: dict[int, tuple[float, list[list[str]]]] = {}
    for (victim, parts), margin in zip(asked, margins, strict=True):
        if victim.row not in worst or margin < worst[victim.row][0]:
            worst[victim.row] = float(margin), parts
    for victim in alive:
        victim.parts = worst[victim.row][1]
        victim.changed += 1
    return {row for row, (margin, _) in worst.items() if margin <= 0}
