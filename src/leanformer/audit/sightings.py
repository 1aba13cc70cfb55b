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


def contexts(texts: Iterable[str], words: Iterable[str], most: int = 20) -> dict[str, list[tuple[str, Span]]]:
    """Collect sentences in which words stand.

    Args:
        texts: Sentences, read until each word has enough.
        words: The words; capitals have to be as they are.
        most: Sentences a word, the first ones.

    Returns:
        By word, sentences with the place of the word.
    """
    found: dict[str, list[tuple[str, Span]]] = {word: [] for word in words}
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, found))})\b")
    open_words = len(found)
    for text in texts:
        if text.count(" ") >= MOST_WORDS:
            continue
        for word, span in {match[0]: match.span() for match in pattern.finditer(text)}.items():
            if len(found[word]) < most:
                found[word].append((text, span))
                open_words -= len(found[word]) == most
        if not open_words:
            break
    return found


def _version(text: str, occupation: Span, words: Iterable[Gendered]) -> Version:
    spans = [(one.male, (one.start, one.start + len(one.word))) for one in words]
    male, female = (tuple(span for is_male, span in spans if is_male == wanted) for wanted in (True, False))
    return Version(text, occupation, male, female)
