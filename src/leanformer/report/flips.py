"""The texts whose answer changed, made ready for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leanformer.report.numbers import percent

CHANGES = {"worse": "got worse", "better": "got better", "wrong": "both wrong", "moved": "moved"}
VALUES = ("regression", "embedding")
"""Kinds whose answers are numbers, which all change."""


@dataclass(frozen=True)
class FlipView:
    """One changed answer, in words.

    Attributes:
        row: Row number in the source file.
        text: The first text.
        text_pair: The second text of a pair, or None.
        label: The true answer.
        before: The original model's answer.
        after: The compressed model's answer.
        before_sure: Its probability as a percentage, "" where there is none.
        after_sure: The same for the compressed model.
        surest: The larger of both probabilities (for a regression: the size of the change), to sort by.
        change: "worse", "better", "wrong" (both wrong), or "moved" where an answer is neither
            right nor wrong, or both are as right.
    """

    row: int
    text: str
    text_pair: str | None
    label: str
    before: str
    after: str
    before_sure: str
    after_sure: str
    surest: float
    change: str

    @property
    def change_words(self) -> str:
        """Return the change as shown on its tag."""
        return CHANGES[self.change]


def flip_views(flips: list[dict[str, Any]], task: dict[str, Any]) -> list[FlipView]:
    """Turn the flips of result.json into words.

    Args:
        flips: Flip dicts; answers are label ids, label names, or numbers (regression, embeddings).
        task: The `task` of result.json.

    Returns:
        One view a flip, in the same order.
    """
    return [_view(flip, task) for flip in flips]


def _view(flip: dict[str, Any], task: dict[str, Any]) -> FlipView:
    before, after = flip.get("dense_probability"), flip.get("lean_probability")
    is_value = task["kind"] in VALUES
    if is_value:
        surest = abs(float(flip["lean_answer"]) - float(flip["dense_answer"]))
    else:
        surest = max(before or 0.0, after or 0.0)
    return FlipView(
        row=flip["row"],
        text=flip["text"],
        text_pair=flip.get("text_pair"),
        label=answer_words(flip["label"], task),
        before=answer_words(flip["dense_answer"], task),
        after=answer_words(flip["lean_answer"], task),
        before_sure="" if is_value or before is None else percent(before),
        after_sure="" if is_value or after is None else percent(after),
        surest=surest,
        change=_value_change(flip, task) if is_value else _change(flip, task),
    )


def answer_words(answer: Any, task: dict[str, Any]) -> str:
    """Write an answer: a label's name for an id, two decimals for a value."""
    if task["kind"] in VALUES:
        return f"{float(answer):.2f}"
    labels = task.get("labels") or []
    if isinstance(answer, int) and 0 <= answer < len(labels):
        return str(labels[answer])
    return str(answer)


def _change(flip: dict[str, Any], task: dict[str, Any]) -> str:
    dense_right, lean_right = flip.get("dense_right"), flip.get("lean_right")
    if dense_right is not None and lean_right is not None:
        if dense_right == lean_right:
            return "moved" if dense_right else "wrong"
        return "worse" if lean_right < dense_right else "better"
    label, before, after = (answer_words(flip[key], task) for key in ("label", "dense_answer", "lean_answer"))
    if before == label:
        return "worse"
    return "better" if after == label else "wrong"


def _value_change(flip: dict[str, Any], task: dict[str, Any]) -> str:
    if task["kind"] == "embedding":  # a cosine is not on the scale of the similarity that was wanted
        return "moved"
    label = float(flip["label"])
    is_worse = abs(float(flip["lean_answer"]) - label) > abs(float(flip["dense_answer"]) - label)
    return "worse" if is_worse else "better"
