"""Reading files of one word and its tag a line, with a blank line between sentences, as CoNLL's tasks have them."""

from __future__ import annotations

from dataclasses import dataclass, field

from leanformer.errors import DataError

SUFFIXES = (".conll", ".txt")
DOCUMENT = "-DOCSTART-"  # CoNLL-2003's mark between documents, a sentence of its own


@dataclass(frozen=True)
class Sentence:
    """A sentence as it was read.

    Attributes:
        line: Where its first word stands, counted from 1.
        tokens: Its words.
        tags: One a word.
    """

    line: int
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def tagged_sentences(source: str, text: str) -> list[Sentence]:
    """Read tagged words.

    Args:
        source: The file, for messages.
        text: Each line has a word and its tag, the first and the last of its fields; between fields stand tabs or, in
            files without any, blanks. CoNLL-2003's marks of documents are left out.

    Returns:
        The sentences, in their order.

    Raises:
        DataError: If a line has one field only, or an empty one; names it.
    """
    lines = text.split("\n")
    tabbed = any("\t" in line.strip() for line in lines)
    sentences: list[Sentence] = []
    inside = False
    for number, line in enumerate(lines, 1):
        fields = [part.strip() for part in (line.strip("\r\n").split("\t") if tabbed else line.split())]
        if not any(fields) or fields[0] == DOCUMENT:
            inside = False
            continue
        if len(fields) < 2 or not fields[0] or not fields[-1]:
            raise DataError(
                f"{source} line {number} can not be decoded ({line.strip()!r}): give a word and its tag a line, with "
                f"a {'tab' if tabbed else 'blank'} between them, and a blank line between sentences"
            )
        if not inside:
            sentences.append(Sentence(number))
        inside = True
        sentences[-1].tokens.append(fields[0])
        sentences[-1].tags.append(fields[-1])
    return sentences
