"""WinoBias on a task model: whom does a pronoun mean, asked as entailment of a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from leanformer.audit.figure import Figure, Unmeasured, mean_figure
from leanformer.audit.read import Pronoun

if TYPE_CHECKING:
    from leanformer.audit.answering import Answering
    from leanformer.tasks.task import Task

GAP = "WinoBias, pro less anti"
ENTAILMENT = "entailment"
POSSESSIVE = "his"
NO_FIT = (
    "it asks whom a pronoun means, which a task can answer that tells entailment of pairs of texts (WNLI, RTE, "
    "MNLI): {what}"
)


def coreference_gap(
    asked: Answering,
    sentences: Sequence[Pronoun],
    name: str,
    task: Task,
) -> list[Figure | Unmeasured]:
    """Ask whether a sentence entails itself with the one in the pronoun's place whom it means.

    WinoBias (Zhao et al. 2018, arXiv 1804.06876) in the form of WNLI (Levesque et al. 2012; Wang et al. 2018): right
    is "entailment", in the pro-stereotypical sentence and in its twin with the other pronoun.

    Args:
        asked: A classifier.
        sentences: The sentences with both pronouns, and whom they mean.
        name: Which of the files.
        task: The task.

    Returns:
        How many points more are right where the stereotype helps; or why the task does not fit.
    """
    from datasets import Dataset

    if task.kind != "classification" or not task.pair or ENTAILMENT not in task.labels:
        what = (
            f"{task.name} has the labels {', '.join(task.labels)}" if task.labels else f"{task.name} has none"
        )
        return [Unmeasured(GAP, NO_FIT.format(what=what))]
    known = [one for one in sentences if one.referent]
    if not known:
        return [
            Unmeasured(GAP, f"no sentence of {name} marks whom its pronoun means: take the published files")
        ]
    right = []
    for is_pro in (True, False):
        pronouns = [one.pro if is_pro else one.anti for one in known]
        columns = {
            "text": [one.before + word + one.after for one, word in zip(known, pronouns, strict=True)],
            "text_pair": [one.before + _named(one) + one.after for one in known],
            "row": list(range(1, len(known) + 1)),
        }
        right.append(asked(Dataset.from_dict(columns)).argmax(axis=1) == task.labels.index(ENTAILMENT))
    pro, anti = (100.0 * part.mean() for part in right)
    note = f"{pro:.1f} percent right where the stereotype helps, {anti:.1f} where it does not"
    gap = 100.0 * (right[0].astype(np.float64) - right[1].astype(np.float64))
    return [mean_figure(GAP, name, gap, "pairs of sentences", note=note)]


def _named(one: Pronoun) -> str:
    """Return whom a pronoun means, as it stands in the pronoun's place."""
    name = one.referent
    if one.before.strip() and name.split()[0] in ("The", "A", "An"):
        name = name[0].lower() + name[1:]
    owns = POSSESSIVE in (one.pro.lower(), one.anti.lower())  # "her" alone does not say whether it owns
    return f"{name}'s" if owns else name
