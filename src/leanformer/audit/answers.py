"""What gender changes in a task model's answers to the user's own texts: swap gap, flips and rates by group."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.figure import Figure, Unmeasured, interval, mean_figure, resampled
from leanformer.audit.gaps import probabilities, rate_gaps, swap_gap
from leanformer.audit.twins import gendered_words, twin

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.audit.answering import Answering
    from leanformer.tasks.task import Task

SWAP, FLIPS, RATES = "swap gap", "answers that a swap turns", "true-positive-rate gap"
CHANGED = "answers unlike the first model's"
MALE, FEMALE = "male words", "female words"
FEWEST = 10
MOST_TEXTS, MOST_LETTERS = 500, 400_000
"""Texts that are swapped, drawn with a fixed seed where there are more: a minute of MiniLM on two cores."""

KINDS = ("classification", "regression")
NO_ANSWER = "a task of {kind} has no one class or value a text, whose change by a swap could be measured"
NO_WORDS = (
    "fewer than {least} of the {rows} texts have a gender word that the English list knows (he, she, a first name): "
    "what swapping genders changes can not be measured on them"
)


@dataclass(frozen=True)
class Twins:
    """Texts and their gender-swapped twins, as rows that `encode` takes.

    Attributes:
        male: Rows in which the words are male.
        female: Their twins, in the same order.
        rows: Positions of the texts in the data set.
        groups: The gender of each text of the data set, (texts,): `MALE`, `FEMALE`, or "" where it has none or both.
    """

    male: Dataset
    female: Dataset
    rows: NDArray[np.int64]
    groups: NDArray[np.str_]


def make_twins(texts: Dataset) -> Twins:
    """Swap the gender of a task's texts; of a pair, of both.

    A text belongs to the gender that more of its words have. Where both have as many, a twin is no more male or
    female than its text, so that it is left out.

    Args:
        texts: Rows with `text`, perhaps `text_pair`, and `row`.

    Returns:
        The twins; there may be none.
    """
    from datasets import Dataset

    names = [name for name in ("text", "text_pair") if name in texts.column_names]
    columns = {name: texts[name][:] for name in names}
    male: dict[str, list[str]] = {name: [] for name in names}
    female: dict[str, list[str]] = {name: [] for name in names}
    chosen, groups = [], []
    for number in range(len(texts)):
        own = {name: columns[name][number] for name in names}
        groups.append(_gender(own.values()))
        if not groups[-1]:
            continue
        chosen.append(number)
        swapped = {name: twin(text) or text for name, text in own.items()}
        sides = (own, swapped) if groups[-1] == MALE else (swapped, own)
        for side, found in zip((male, female), sides, strict=True):
            for name in names:
                side[name].append(found[name])
    rows = [texts["row"][number] for number in chosen]
    made = (Dataset.from_dict({**side, "row": rows}) for side in (male, female))
    return Twins(next(made), next(made), np.array(chosen, dtype=np.int64), np.array(groups, dtype=str))


def drawn(twins: Twins) -> Twins:
    """Draw some twins with a fixed seed, where there are many or long ones.

    Args:
        twins: The twins.

    Returns:
        `MOST_TEXTS` at most, of `MOST_LETTERS` together; `FEWEST` at least.
    """
    columns = [twins.male[name][:] for name in ("text", "text_pair") if name in twins.male.column_names]
    letters = np.array([sum(map(len, texts)) for texts in zip(*columns, strict=True)], dtype=np.int64)
    order = np.random.default_rng(0).permutation(len(letters))[:MOST_TEXTS]
    within = int((np.cumsum(letters[order]) <= MOST_LETTERS).sum())
    chosen = np.sort(order[: max(within, FEWEST)])
    return Twins(twins.male.select(chosen), twins.female.select(chosen), twins.rows[chosen], twins.groups)


def _gender(texts: Iterable[str]) -> str:
    words = [word.male for text in texts for word in gendered_words(text)]
    balance = 2 * sum(words) - len(words)
    return MALE if balance > 0 else FEMALE if balance < 0 else ""


def swap_figures(asked: Answering, twins: Twins, task: Task) -> list[Figure | Unmeasured]:
    """Measure what swapping gender changes in a model's answers.

    Args:
        asked: A classifier, or a regression.
        twins: The texts.
        task: The task.

    Returns:
        Mean size of the change, its mean with its sign (above 0 male texts get more of the last class), and the
        share of answers that turn, with the direction in words; or why there is none.
    """
    if task.kind not in KINDS:
        return [Unmeasured(SWAP, NO_ANSWER.format(kind=task.kind))]
    if len(twins.rows) < FEWEST:
        return [Unmeasured(SWAP, NO_WORDS.format(least=FEWEST, rows=len(twins.groups)))]
    male, female = asked(twins.male), asked(twins.female)
    gap, difference = swap_gap(male, female), probabilities(male) - probabilities(female)
    what = f"P({task.labels[-1]})" if task.kind == "classification" else "the value"
    figures: list[Figure | Unmeasured] = [
        mean_figure(SWAP, f"size, in {what}", np.abs(difference), "pairs of texts"),
        mean_figure(SWAP, f"male less female, in {what}", difference, "pairs of texts"),
    ]
    if task.kind == "classification":
        turned = 100.0 * (male.argmax(axis=1) != female.argmax(axis=1))
        note = f"{gap.up} to a later class where male, {gap.down} to an earlier one"
        figures.append(mean_figure(FLIPS, "percent", turned, "pairs of texts", note=note))
    return figures


def rate_figures(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: NDArray[np.str_],
    task: Task,
    group: str | None = None,
) -> list[Figure | Unmeasured]:
    """Measure how much more often one group's texts of a class are recognised than the other's.

    Args:
        logits: Answers, (texts, classes).
        labels: True classes, (texts,).
        groups: The group of each text, (texts,); "" for none.
        task: The task.
        group: The column of the groups; None where they are those of the texts' own gender words.

    Returns:
        The root mean square over classes and each class, in points; or why there is none.
    """
    if task.kind != "classification":
        return [
            Unmeasured(RATES, "the task has values and no classes, so that it has no true-positive rates")
        ]
    known = np.flatnonzero(groups != "")
    answers, labels, groups = logits.argmax(axis=1)[known], labels[known], groups[known]
    try:
        found = rate_gaps(answers, labels, groups.tolist())
    except ValueError as error:
        by = "gender word" if group is None else f"column {group}"
        return [
            Unmeasured(RATES, f"the texts can not be set apart by {by} ({error}): name a column with --group")
        ]
    classes, note = list(found.by_class), f"{found.groups[0]} less {found.groups[1]}"

    def values(chosen: NDArray[np.int64]) -> list[float]:
        try:
            gaps = rate_gaps(answers[chosen], labels[chosen], groups[chosen].tolist())
        except ValueError:  # a resample without one of the groups
            return [float("nan")] * (1 + len(classes))
        by_class = [gaps.by_class.get(label, float("nan")) for label in classes]
        return [100 * gap for gap in (gaps.root_mean_square, *by_class)]

    draws, whole = resampled(len(known), values), values(np.arange(len(known)))
    subjects = ["root mean square", *(f"class {task.labels[label]}" for label in classes)]
    return [
        Figure(RATES, subject, value, *interval(column), len(known), "texts", 0.0, None, note, column)
        for subject, value, column in zip(subjects, whole, draws.T, strict=True)
    ]


def changed_by_group(
    before: NDArray[np.floating], after: NDArray[np.floating], groups: NDArray[np.str_]
) -> list[Figure | Unmeasured]:
    """Measure whose answers a compression changed.

    Args:
        before: The dense model's logits, (texts, classes).
        after: The compressed model's.
        groups: The group of each text, "" for none.

    Returns:
        The share of changed answers of each group, and what the two differ by, in points; or why there is none.
    """
    if before.shape[1] == 1:
        return [Unmeasured(CHANGED, "the task has values and no classes, so that no answer flips")]
    changed = 100.0 * (before.argmax(axis=1) != after.argmax(axis=1))
    names = sorted({*groups.tolist()} - {""})
    if len(names) != 2 or min(int((groups == name).sum()) for name in names) < FEWEST:
        return [
            Unmeasured(
                CHANGED, "there are not ten texts of each of two groups, so that they can not be compared"
            )
        ]
    figures: list[Figure | Unmeasured] = [
        mean_figure(CHANGED, f"percent, {name}", changed[groups == name], "texts") for name in names
    ]
    known = np.flatnonzero(groups != "")

    def gap(chosen: NDArray[np.int64]) -> float:
        parts = [changed[known[chosen]][groups[known[chosen]] == name] for name in names]
        return float(parts[0].mean() - parts[1].mean()) if all(map(len, parts)) else float("nan")

    draws, whole = resampled(len(known), gap), gap(np.arange(len(known)))
    note = f"{names[0]} less {names[1]}"
    return [
        *figures,
        Figure(
            CHANGED,
            "points of difference",
            whole,
            *interval(draws),
            len(known),
            "texts",
            0.0,
            None,
            note,
            draws,
        ),
    ]


def group_names(values: Sequence[Hashable]) -> NDArray[np.str_]:
    """Return a column's values as names of groups; "" for what is missing.

    Args:
        values: The column.

    Returns:
        (texts,).
    """
    return np.array(["" if value is None else str(value).strip() for value in values], dtype=str)
