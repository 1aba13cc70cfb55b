"""Groups of words that a teacher is to tell apart no more: our own list, and lists from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.audit.twins import PAIRS
from leanformer.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Group = tuple[str, ...]

OWN_GROUPS: tuple[Group, ...] = PAIRS
"""Male and female words. "her" is left out: it stands for "his" and for "him", which are no likes of each other."""

FORMS = ("{}", " {}")
"""A word where a text begins, and behind a space: two tokens in the vocabularies that know spaces."""


@dataclass(frozen=True)
class TokenGroups:
    """Groups of tokens of one vocabulary.

    Attributes:
        ids: Token ids of each group, two at least; no token is in two groups.
        words: Their words.
        left_out: Words of groups that are no single token of the vocabulary.
    """

    ids: tuple[tuple[int, ...], ...]
    words: tuple[Group, ...]
    left_out: tuple[str, ...]


def read_groups(path: Path) -> tuple[Group, ...]:
    """Read groups from a file: a line of words is a group, what follows a # is a comment.

    Args:
        path: The file.

    Returns:
        The groups.

    Raises:
        DataError: If it can not be read, has a group of one word, or none at all.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the groups {path} can not be read ({error}): name a text file with --groups"
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        words = tuple(dict.fromkeys(line.partition("#")[0].split()))
        if len(words) == 1:
            raise DataError(
                f"line {number} of {path} has one word, '{words[0]}': write the words of a group on one line"
            )
        if words:
            found.append(words)
    if not found:
        raise DataError(
            f"{path} names no group: write words that are to be equal on one line, for example: he she"
        )
    return tuple(found)


def token_groups(groups: Sequence[Group], tokenizer: PreTrainedTokenizerBase) -> TokenGroups:
    """Find the tokens of groups: as the words stand and with a capital, each form for itself.

    Args:
        groups: Groups of words.
        tokenizer: Of the teacher.

    Returns:
        The groups that have two tokens or more; those that share a token are one.

    Raises:
        DataError: If none has.
    """
    merged: list[dict[int, str]] = []
    known: set[str] = set()
    for group in groups:
        for form in FORMS:
            for cased in (group, tuple(word.capitalize() for word in group)):
                here = _tokens([form.format(word) for word in cased], group, tokenizer)
                known.update(here.values())
                for other in [one for one in merged if one.keys() & here.keys()]:
                    merged.remove(other)
                    here = other | here
                merged.append(here)
    whole = [one for one in merged if len(one) > 1]
    if not whole:
        raise DataError(
            f"none of the {len(groups)} groups has two words that are single tokens of this model: name other words "
            "with --groups"
        )
    left_out = dict.fromkeys(word for group in groups for word in group if word not in known)
    return TokenGroups(
        tuple(tuple(one) for one in whole), tuple(tuple(one.values()) for one in whole), tuple(left_out)
    )


def _tokens(texts: Sequence[str], words: Group, tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the words of texts that are one token each, by their ids."""
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return {
        ids[0]: word
        for ids, word in zip(encoded, words, strict=True)
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id
    }
