"""How right the text of an answer is: exact match and F1 of words, as SQuAD's own script (v1.1) counts them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)

Likeness = Callable[[str, str], float]
"""How alike an answer is to one that was wanted, in [0, 1]."""


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without ASCII punctuation and without a, an and the."""
    return ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split()


def exact_match(given: str, wanted: str) -> float:
    """Return 1 where both texts have the same plain words, else 0."""
    return float(plain_words(given) == plain_words(wanted))


def word_f1(given: str, wanted: str) -> float:
    """Return the F1 of the plain words that both texts share, each as often as it occurs in both.

    Args:
        given: What a model answers.
        wanted: What was wanted.

    Returns:
        The harmonic mean of precision and recall; 0 where no word is shared.
    """
    one, other = plain_words(given), plain_words(wanted)
    shared = sum((Counter(one) & Counter(other)).values())
    return 2.0 * shared / (len(one) + len(other)) if shared else 0.0


def best_likeness(likeness: Likeness, given: str, wanted: Iterable[str]) -> float:
    """Return how right an answer is by the one that it is most like, of all that were wanted."""
    return max(likeness(given, text) for text in wanted)
