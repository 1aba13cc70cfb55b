"""Reading files of questions in SQuAD's layout (Rajpurkar et al. 2016): articles, their paragraphs, and questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leanformer.errors import DataError


@dataclass(frozen=True)
class Question:
    """A question as it was read.

    Attributes:
        title: Of the article.
        context: The paragraph that holds the answer.
        question: The question.
        answers: "text" and "answer_start" (counted in characters from 0): lists of the same length.
    """

    title: str
    context: Any
    question: Any
    answers: dict[str, list[Any]]


def is_squad(text: str) -> bool:
    """Whether a JSON text is of SQuAD's layout, so that it is one object and not one a line."""
    return text.lstrip().startswith("{") and '"paragraphs"' in text and '"qas"' in text


def questions(source: str, content: Any) -> list[Question]:
    """List the questions of a file.

    Args:
        source: The file, for messages.
        content: What its JSON says.

    Returns:
        The questions, in their order.

    Raises:
        DataError: If a part of the layout is missing; names it.
    """
    found: list[Question] = []
    for article in _listed(content, "data", source):
        title = str(article.get("title", "")) if isinstance(article, dict) else ""
        for paragraph in _listed(article, "paragraphs", f"{source}, article '{title}'"):
            where = f"{source}, a paragraph of '{title}'"
            for one in _listed(paragraph, "qas", where):
                answers = _listed(one, "answers", f"{where}, question {len(found) + 1}")
                if not all(isinstance(answer, dict) for answer in answers):
                    raise DataError(
                        f"{source} question {len(found) + 1} has answers that are no objects: give each its 'text' "
                        "and 'answer_start'"
                    )
                fields = {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
                found.append(Question(title, paragraph.get("context"), one.get("question"), fields))
    return found


def _listed(part: Any, name: str, where: str) -> list[Any]:
    """Return a list that a part of the file has to have."""
    if not isinstance(part, dict) or not isinstance(part.get(name), list):
        raise DataError(f"{where} has no list '{name}', as SQuAD's layout asks for: correct the file")
    return part[name]
