"""The same sentence with the other gender: words, pronouns, titles and first names, the grammar kept.

The lists are our own. English alone; what a sentence says of a person by name, by profession or by context is left as
it is, so that a twin of a text about one known person may be untrue: it is a probe, not a paraphrase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PAIRS = (
    *(
        ("he", "she"),
        ("himself", "herself"),
        ("man", "woman"),
        ("men", "women"),
        ("boy", "girl"),
        ("boys", "girls"),
    ),
    *(("male", "female"), ("males", "females"), ("father", "mother"), ("fathers", "mothers"), ("dad", "mom")),
    *(
        ("dads", "moms"),
        ("son", "daughter"),
        ("sons", "daughters"),
        ("brother", "sister"),
        ("brothers", "sisters"),
    ),
    *(
        ("husband", "wife"),
        ("husbands", "wives"),
        ("uncle", "aunt"),
        ("uncles", "aunts"),
        ("nephew", "niece"),
    ),
    *(("nephews", "nieces"), ("grandfather", "grandmother"), ("grandfathers", "grandmothers")),
    *(("grandpa", "grandma"), ("grandson", "granddaughter"), ("grandsons", "granddaughters")),
    *(
        ("stepfather", "stepmother"),
        ("stepson", "stepdaughter"),
        ("godfather", "godmother"),
        ("king", "queen"),
    ),
    *(("kings", "queens"), ("prince", "princess"), ("princes", "princesses"), ("duke", "duchess")),
    *(("gentleman", "lady"), ("gentlemen", "ladies"), ("sir", "madam"), ("guy", "gal"), ("guys", "gals")),
    *(("boyfriend", "girlfriend"), ("boyfriends", "girlfriends"), ("groom", "bride"), ("widower", "widow")),
    *(("actor", "actress"), ("actors", "actresses"), ("waiter", "waitress"), ("waiters", "waitresses")),
    *(("hero", "heroine"), ("heroes", "heroines"), ("steward", "stewardess")),
    *(("policeman", "policewoman"), ("policemen", "policewomen"), ("businessman", "businesswoman")),
    *(("businessmen", "businesswomen"), ("chairman", "chairwoman"), ("spokesman", "spokeswoman")),
    *(
        ("congressman", "congresswoman"),
        ("salesman", "saleswoman"),
        ("fisherman", "fisherwoman"),
        ("mr", "ms"),
    ),
)
"""(male, female), lower case."""

NAMES = (
    *(
        ("john", "mary"),
        ("james", "linda"),
        ("robert", "patricia"),
        ("michael", "jennifer"),
        ("david", "susan"),
    ),
    *(
        ("richard", "barbara"),
        ("joseph", "jessica"),
        ("thomas", "sarah"),
        ("charles", "karen"),
        ("daniel", "nancy"),
    ),
    *(
        ("matthew", "lisa"),
        ("anthony", "betty"),
        ("paul", "margaret"),
        ("steven", "sandra"),
        ("andrew", "ashley"),
    ),
    *(
        ("kenneth", "kimberly"),
        ("george", "emily"),
        ("joshua", "donna"),
        ("kevin", "michelle"),
        ("brian", "carol"),
    ),
    *(
        ("edward", "amanda"),
        ("ronald", "dorothy"),
        ("jason", "rebecca"),
        ("jeffrey", "laura"),
        ("ryan", "stephanie"),
    ),
    *(("jacob", "rachel"), ("eric", "anna"), ("peter", "helen"), ("henry", "ruth"), ("adam", "julia")),
)
"""Common first names, (male, female); swapped only where they begin with a capital."""

ONE_WAY = {"mrs": "mr"}
MALE_PRONOUNS, FEMALE_PRONOUNS = ("him", "his"), ("her", "hers")
_CLOSED = (
    "a an the this that these those and or but nor so yet if because as than when while where who whom which",
    "whose what in on at by for from of off out over to up down with without into onto about after before between",
    "through during under against among around behind beside beyond near since until upon within toward towards",
    "again away back i you he she it we they me him us them is are was were be been being am do does did have has",
    "had will would can could shall should may might must not there here then now today yesterday tomorrow too",
    "also either alone instead how why whether though although",
)
NO_NOUN = frozenset(" ".join(_CLOSED).split())
"""Words that no noun phrase goes on with: before them "her" is an object, and "his" stands alone."""

_WORD = re.compile(r"[A-Za-z]+")
_SWAPS = {word: other for male, female in PAIRS for word, other in ((male, female), (female, male))} | ONE_WAY
_NAMES = {word: other for male, female in NAMES for word, other in ((male, female), (female, male))}
_MALE = {male for male, _ in PAIRS} | {male for male, _ in NAMES} | {*MALE_PRONOUNS}


@dataclass(frozen=True)
class Gendered:
    """A word that has a gender.

    Attributes:
        start: Where it begins in the text.
        word: As it stands there.
        other: What stands there in the twin.
        male: Whether it is a male one.
    """

    start: int
    word: str
    other: str
    male: bool


def gendered_words(text: str) -> list[Gendered]:
    """Find the words of a text that have a gender.

    Args:
        text: English.

    Returns:
        The words, in order.
    """
    found = []
    words = list(_WORD.finditer(text))
    for number, match in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else None
        owns = following is not None and _goes_on(text[match.end() : following.start()], following[0])
        other = _other(match[0], owns)
        if other is not None:
            found.append(Gendered(match.start(), match[0], other, match[0].lower() in _MALE))
    return found


def twin(text: str) -> str | None:
    """Return a text with the other gender; twice gives the text back, where it has one gender a word.

    Args:
        text: English.

    Returns:
        The twin; None where the text names no gender.
    """
    parts, end = [], 0
    for one in gendered_words(text):
        parts += [text[end : one.start], one.other]
        end = one.start + len(one.word)
    return "".join([*parts, text[end:]]) if parts else None


def _goes_on(between: str, following: str) -> bool:
    """Whether a noun phrase may go on with the next word, so that a pronoun before it owns it."""
    return between.strip() in ("", '"', "'", "“") and following.lower() not in NO_NOUN


def _other(word: str, owns: bool) -> str | None:
    """Return a word's counterpart in its own case; None where it has none."""
    lower = word.lower()
    if lower == "her":
        other = "his" if owns else "him"
    elif lower == "his":
        other = "her" if owns else "hers"
    elif lower in ("him", "hers"):
        other = {"him": "her", "hers": "his"}[lower]
    elif lower in _SWAPS:
        other = _SWAPS[lower]
    elif lower in _NAMES and word[0].isupper():
        other = _NAMES[lower]
    else:
        return None
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
