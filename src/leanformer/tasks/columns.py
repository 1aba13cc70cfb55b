"""Which columns of a table are the text, the second text and the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leanformer.errors import DataError
from leanformer.tasks.read import Table

TEXT_PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("sent1", "sent2"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("text", "text_pair"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("query", "passage"),
    ("query", "document"),
    ("#1 string", "#2 string"),
)
TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "tweet", "message", "document", "body")
WORD_NAMES = ("tokens", "words")  # of lists, one a sentence, as those of tags are
TAG_NAMES = ("ner_tags", "tags", "ner", "labels", "label")
QUESTION_NAMES = ("question", "context", "answers")  # SQuAD's; the answers are objects
LABEL_NAMES = ("label", "labels", "gold_label")  # taken at once where present, in this order
LIKELY_LABEL_NAMES = (
    *("class", "category", "target", "score", "sentiment", "rating", "stars", "similarity", "quality"),
    *("is_duplicate", "intent", "topic", "emotion", "polarity", "y"),
)
FLAGS = "say which with --text, --text-pair and --label (the first line of csv and tsv must name the columns)"


@dataclass(frozen=True)
class Columns:
    """The columns taken.

    Attributes:
        text: The column of the text.
        text_pair: The column of the second text, if there is one.
        label: The column of the label.
        words: Whether the text's column holds lists of words, and the label's lists of tags.
        answers: Whether the text is a question, the second text what holds its answers, and the label these.
    """

    text: str
    text_pair: str | None
    label: str
    words: bool = False
    answers: bool = False

    def __str__(self) -> str:
        """Name them for a person."""
        if self.words:
            return f"words '{self.text}', tags '{self.label}'"
        if self.answers:
            return f"question '{self.text}', text '{self.text_pair}', answers '{self.label}'"
        pair = f", text_pair '{self.text_pair}'" if self.text_pair else ""
        return f"text '{self.text}'{pair}, label '{self.label}'"


def choose_columns(table: Table, text: str | None, text_pair: str | None, label: str | None) -> Columns:
    """Take the named columns and guess the others, by name first and by content then.

    Args:
        table: The table of training rows.
        text: The text's column; when it is named, a second text is not guessed.
        text_pair: The second text's column.
        label: The label's column.

    Returns:
        The columns.

    Raises:
        DataError: If a named column does not exist or is named twice, or the guess is ambiguous; lists columns
            and flags.
    """
    check_columns(table, {"--text": text, "--text-pair": text_pair, "--label": label})
    named = [name for name in (text, text_pair, label) if name is not None]
    repeated = next((name for name in named if named.count(name) > 1), None)
    if repeated is not None:
        raise DataError(
            f"the column '{repeated}' is asked for twice: --text, --text-pair and --label need one each"
        )
    label = label or _guess_label(table, exclude={text, text_pair})
    if text is not None:
        return Columns(text, text_pair, label)
    if text_pair is not None:
        return Columns(_guess_text(table, exclude={label, text_pair}), text_pair, label)
    pair = _guess_pair(table, exclude=label)
    return Columns(*pair, label) if pair else Columns(_guess_text(table, exclude={label}), None, label)


def holds_words(table: Table, text: str | None) -> bool:
    """Whether a table's text is lists of words, to be tagged.

    Args:
        table: The table of training rows.
        text: The text's column, where it is named.

    Returns:
        Whether that column, or else one with the usual name of words, holds lists.
    """
    candidates = [text] if text is not None else [_by_name(table).get(name) for name in WORD_NAMES]
    columns = [table.columns[name] for name in candidates if name in table.columns]
    return any(isinstance(value, list) for values in columns for value in values[:1])


def choose_word_columns(table: Table, text: str | None, text_pair: str | None, label: str | None) -> Columns:
    """Take the named columns of words and tags, and guess the others by name.

    Args:
        table: The table of training rows, which `holds_words`.
        text: The words' column.
        text_pair: None: words come alone.
        label: The tags' column.

    Returns:
        The columns.

    Raises:
        DataError: If a named column does not exist, a second text is named, or there are no tags by a usual name.
    """
    check_columns(table, {"--text": text, "--text-pair": text_pair, "--label": label})
    if text_pair is not None:
        raise DataError(f"{table.source} holds lists of words, and these come alone: leave --text-pair out")
    real = _by_name(table)
    words = text or next(real[name] for name in WORD_NAMES if name in real)
    tags = label or next((real[name] for name in TAG_NAMES if name in real), None)
    if tags is None or tags == words:
        raise _ambiguous(table, "tag column", [])
    return Columns(words, None, tags, words=True)


def holds_answers(table: Table, label: str | None) -> bool:
    """Whether a table's labels are answers to questions: objects with a text and where it begins.

    Args:
        table: The table of training rows.
        label: The answers' column, where it is named.

    Returns:
        Whether that column, or else one with the usual name of answers, holds such objects.
    """
    name = label if label is not None else _by_name(table).get(QUESTION_NAMES[2])
    values = table.columns.get(name, []) if name is not None else []
    return any(isinstance(value, dict) and {"text", "answer_start"} <= set(value) for value in values[:1])


def choose_question_columns(
    table: Table, text: str | None, text_pair: str | None, label: str | None
) -> Columns:
    """Take the named columns of questions, texts and answers, and guess the others by name.

    Args:
        table: The table of training rows, which `holds_answers`.
        text: The questions' column.
        text_pair: The column of the texts that hold the answers.
        label: The answers' column.

    Returns:
        The columns.

    Raises:
        DataError: If a named column does not exist, or one that is not named is absent by its usual name.
    """
    check_columns(table, {"--text": text, "--text-pair": text_pair, "--label": label})
    real = _by_name(table)
    named = [
        given or real.get(name) for given, name in zip((text, text_pair, label), QUESTION_NAMES, strict=True)
    ]
    absent = [name for name, found in zip(QUESTION_NAMES, named, strict=True) if found is None]
    if absent:
        raise _ambiguous(table, f"{absent[0]} column", [])
    return Columns(str(named[0]), str(named[1]), str(named[2]), answers=True)


def check_columns(table: Table, wanted: dict[str, str | None]) -> None:
    """Check that columns exist.

    Args:
        table: The table.
        wanted: Who asks for a column (a flag, or the column's use) -> the column; None asks for nothing.

    Raises:
        DataError: If the table lacks one of them.
    """
    for origin, name in wanted.items():
        if name is not None and name not in table.columns:
            raise DataError(
                f"{table.source} has no column '{name}' (asked by {origin}): it has {_listing(table)}"
            )


def _listing(table: Table) -> str:
    """List the columns for a message."""
    return "the columns " + ", ".join(f"'{name}'" for name in table.columns)


def _ambiguous(table: Table, what: str, candidates: list[str]) -> DataError:
    """Say that a column can not be guessed."""
    found = f"could be {' or '.join(repr(name) for name in candidates)}" if candidates else "was not found"
    return DataError(f"the {what} of {table.source} {found} among {_listing(table)}: {FLAGS}")


def _by_name(table: Table) -> dict[str, str]:
    """Map lower-case names to the real ones."""
    return {name.strip().lower(): name for name in table.columns}


def _guess_pair(table: Table, exclude: str) -> tuple[str, str] | None:
    """Find two text columns that belong together by their names."""
    real = {lower: name for lower, name in _by_name(table).items() if name != exclude}
    found = [(real[one], real[two]) for one, two in TEXT_PAIR_NAMES if one in real and two in real]
    if len(found) > 1:
        raise _ambiguous(table, "pair of texts", [f"{one} + {two}" for one, two in found])
    return found[0] if found else None


def _guess_text(table: Table, exclude: set[str | None]) -> str:
    """Find the one text column, by name or else by looking for sentences."""
    real = {lower: name for lower, name in _by_name(table).items() if name not in exclude}
    found = [real[name] for name in TEXT_NAMES if name in real]
    if not found:
        found = [name for name in real.values() if len(real) == 1 or _reads_like_text(table.columns[name])]
    if len(found) != 1:
        raise _ambiguous(table, "text column", found)
    return found[0]


def _guess_label(table: Table, exclude: set[str | None]) -> str:
    """Find the one label column, by name or else by looking for few values that repeat."""
    real = {lower: name for lower, name in _by_name(table).items() if name not in exclude}
    for name in LABEL_NAMES:
        if name in real:
            return real[name]
    found = [real[name] for name in LIKELY_LABEL_NAMES if name in real]
    if not found:
        found = [name for name in real.values() if _reads_like_label(table.columns[name])]
    if len(found) != 1:
        raise _ambiguous(table, "label column", found)
    return found[0]


def _reads_like_text(values: list[Any]) -> bool:
    """Whether the values are mostly different strings, of several words or as long as that (Chinese)."""
    strings = [value for value in values if isinstance(value, str)]
    if len(strings) < len(values) / 2 or len(set(strings)) < len(strings) / 2:
        return False
    words, letters = sum(len(value.split()) for value in strings), sum(map(len, strings))
    return words >= 2 * len(strings) or letters >= 15 * len(strings)


def _reads_like_label(values: list[Any]) -> bool:
    """Whether the values are short and each comes about five times or more."""
    plain = [value for value in values if isinstance(value, str | int | float)]
    if len(plain) < len(values):
        return False
    kinds = set(plain)
    return 2 <= len(kinds) <= max(2, len(values) // 5) and all(len(str(value)) <= 40 for value in kinds)
