"""Sentences of a large text in which gender words and target words stand, each with the place of one of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from leanformer.audit.sightings import MOST_WORDS, Span
from leanformer.audit.twins import FEMALE_PRONOUNS, MALE_PRONOUNS, PAIRS
from leanformer.audit.words import ARTS, CAREER, FAMILY, OCCUPATIONS, SCIENCE
from leanformer.errors import DataError

KINDS = MALE, FEMALE, TARGET = ("male", "female", "target")
FEWEST_WORDS = 4
"""Of a sentence: shorter ones are headings."""

A_WORD = 10
"""At most this part of a kind's sentences is of one word, so that "he" is not all that male means."""


@dataclass(frozen=True)
class Words:
    """Whose gender is to leave which words.

    Attributes:
        male: Male words, lower case.
        female: Female words.
        target: What is to be of no gender.
    """

    male: tuple[str, ...]
    female: tuple[str, ...]
    target: tuple[str, ...]

    def kinds(self) -> dict[str, str]:
        """Return the kind of each word."""
        return {word: kind for kind in KINDS for word in getattr(self, kind)}


OWN_WORDS = Words(
    tuple(male for male, _ in PAIRS) + MALE_PRONOUNS,
    tuple(female for _, female in PAIRS) + FEMALE_PRONOUNS,
    (*OCCUPATIONS, *CAREER, *FAMILY, *SCIENCE, *ARTS),
)
"""Our own lists; first names are left out, which are asked about afterwards."""


@dataclass(frozen=True)
class Mention:
    """A word in a sentence.

    Attributes:
        text: The sentence.
        span: Where the word begins and ends in it, in characters.
        word: The word, lower case.
        kind: One of `KINDS`.
    """

    text: str
    span: Span
    word: str
    kind: str


def read_words(path: Path) -> Words:
    """Read words from a JSON file with the lists "male", "female" and "target".

    Args:
        path: The file.

    Returns:
        The words, lower case.

    Raises:
        DataError: If it can not be read, lacks a list, or a word stands in two of them.
    """
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        found = Words(*(tuple(str(word).lower() for word in lists[kind]) for kind in KINDS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no list of words ({error}): give a JSON file "
            '{"male": [...], "female": [...], "target": [...]}'
        ) from error
    for kind in KINDS:
        if not getattr(found, kind):
            raise DataError(f"{path} has no {kind} words: name at least one")
    if len(found.kinds()) < sum(len(getattr(found, kind)) for kind in KINDS):
        twice = Counter(word for kind in KINDS for word in getattr(found, kind)).most_common(1)[0][0]
        raise DataError(f"{path} names '{twice}' twice: a word is male, female or a target, once")
    return found


def mentions(
    sentences: Iterable[str],
    words: Words,
    most: dict[str, int],
    seen: Callable[[int], None] = lambda found: None,
) -> list[Mention]:
    """Collect sentences, one word each, from the beginning of a text.

    A sentence with words of several kinds counts for the kind that lacks most.

    Args:
        sentences: The sentences, read until there are enough of each kind.
        words: The words.
        most: How many sentences of each kind.
        seen: Called with how many have been found, now and then.

    Returns:
        The mentions, in order; fewer where the text ends.
    """
    kinds = words.kinds()
    pattern = re.compile(
        rf"\b(?:{'|'.join(sorted(map(re.escape, kinds), key=len, reverse=True))})\b", re.IGNORECASE
    )
    found: list[Mention] = []
    of_kind: Counter[str] = Counter()
    of_word: Counter[str] = Counter()
    for text in sentences:
        if not FEWEST_WORDS <= text.count(" ") < MOST_WORDS:
            continue
        open_ones = [
            match
            for match in pattern.finditer(text)
            if of_kind[kind := kinds[match[0].lower()]] < most[kind]
            and of_word[match[0].lower()] < max(1, most[kind] // A_WORD)
        ]
        if not open_ones:
            continue
        chosen = min(
            open_ones, key=lambda match: of_kind[kinds[match[0].lower()]] / most[kinds[match[0].lower()]]
        )
        word = chosen[0].lower()
        found.append(Mention(text, chosen.span(), word, kinds[word]))
        of_kind[kinds[word]] += 1
        of_word[word] += 1
        seen(len(found))
        if all(of_kind[kind] >= most[kind] for kind in KINDS):
            break
    return found


def require_mentions(found: Iterable[Mention], path: Path, least: int = 1) -> None:
    """Refuse a text that says too little of gender.

    Args:
        found: Its mentions.
        path: The text.
        least: How many of each kind.

    Raises:
        DataError: If a kind has fewer.
    """
    counts = Counter(one.kind for one in found)
    lacking = [
        f"{counts[kind]} with {'a target word' if kind == TARGET else f'a {kind} word'}"
        for kind in KINDS
        if counts[kind] < least
    ]
    if lacking:
        raise DataError(
            f"{path} has too few sentences of {FEWEST_WORDS + 1} to {MOST_WORDS} words to learn from, "
            f"{', '.join(lacking)}, and {least} of each are needed: name a longer English text with --corpus"
        )
