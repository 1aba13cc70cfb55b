"""Sentences of a large text in which a gender word and an occupation meet, each with its gender-swapped twin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leanformer.audit.twins import Gendered, gendered_words, twin
from leanformer.audit.words import OCCUPATIONS

MOST_WORDS = 60
_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“(])")
_OCCUPATION = re.compile(rf"\b({'|'.join(sorted(OCCUPATIONS, key=len, reverse=True))})s?\b", re.IGNORECASE)
Span = tuple[int, int]


@dataclass(frozen=True)
class Version:
    """A sentence, or its twin.

    Attributes:
        text: The sentence.
        occupation: Where the occupation stands, in characters.
        male: Where each male word stands.
        female: Where each female word stands.
    """

    text: str
    occupation: Span
    male: tuple[Span, ...]
    female: tuple[Span, ...]


@dataclass(frozen=True)
class Sighting:
    """An occupation beside gender words.

    Attributes:
        occupation: Of `OCCUPATIONS`.
        versions: The sentence and its twin.
        words: How many gender words each has.
    """

    occupation: str
    versions: tuple[Version, Version]
    words: int


def sentences(lines: Iterable[str]) -> Iterator[str]:
    """Cut lines of text into sentences.

    Args:
        lines: The lines.

    Yields:
        The sentences, in order.
    """
    for line in lines:
        if text := line.strip():
            yield from _ENDS.split(text)


def sightings(sentence: str) -> list[Sighting]:
    """Find the occupations of a sentence that has gender words.

    Args:
        sentence: English, of `MOST_WORDS` words at most: longer ones are left out.

    Returns:
        One sighting an occupation; none where a swap does not leave as many gender words.
    """
    if _OCCUPATION.search(sentence) is None or sentence.count(" ") >= MOST_WORDS:
        return []
    words, swapped = gendered_words(sentence), twin(sentence)
    if swapped is None:
        return []
    others = gendered_words(swapped)
    found = [list(_OCCUPATION.finditer(text)) for text in (sentence, swapped)]
    if len(others) != len(words) or len(found[0]) != len(found[1]):
        return []
    return [
        Sighting(
            own[1].lower(),
            (_version(sentence, own.span(), words), _version(swapped, other.span(), others)),
            len(words),
        )
        for own, other in zip(*found, strict=True)
    ]


def _version(text: str, occupation: Span, words: Iterable[Gendered]) -> Version:
    spans = [(one.male, (one.start, one.start + len(one.word))) for one in words]
    male, female = (tuple(span for is_male, span in spans if is_male == wanted) for wanted in (True, False))
    return Version(text, occupation, male, female)
