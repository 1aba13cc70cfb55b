"""What is to be solved: a task, and the data that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["classification", "regression", "token-classification", "question-answering", "embedding"]

DISCRETE = ("classification", "token-classification", "question-answering")
"""Kinds whose answers stay or change; values and vectors move."""


@dataclass(frozen=True)
class Task:
    """One task for a classifier of texts or of the words in them, or for a model that answers otherwise.

    Attributes:
        name: Short name for people, for example `mrpc` or the data folder's name.
        kind: `classification` or `regression` of texts; `token-classification`: spans of words;
            `question-answering`: the answer to a question stands in a text; `embedding`: two texts are as alike as
            the vector of each.
        pair: Whether each example has two texts.
        labels: The label names; position in the tuple is the label id. Empty for values and vectors; for spans in the
            order of `leanformer.tasks.spans.span_labels`; for questions what each token is asked, start and end.
        metric: The main metric, a key of `leanformer.tasks.metrics.METRICS`.
        extra_metrics: Further metrics to report beside the main one.
    """

    name: str
    kind: Kind
    pair: bool
    labels: tuple[str, ...]
    metric: str
    extra_metrics: tuple[str, ...] = ()

    @property
    def num_labels(self) -> int:
        """The number of outputs of the task head: one for regression."""
        return len(self.labels) if self.labels else 1

    @property
    def texts_each(self) -> int:
        """How many rows, one behind the other, make one example: two for the vectors of a pair's texts."""
        return 2 if self.kind == "embedding" else 1


@dataclass(frozen=True)
class TaskData:
    """A task with its data.

    Attributes:
        task: The task.
        train: Rows to learn from. Columns of each data set: `text`, `text_pair` (pairs only), `label`
            (int id or float) and `row` (1-based line or row number in the source file). For spans also `words`, and
            `label` has one id a word, padded to the longest sentence. For embeddings a pair is two rows with the same
            `label` and `row`, for each text is answered alone. For questions see
            `leanformer.tasks.questions.question_rows`; they get their `label` when they are encoded.
        validation: Rows the report is measured on.
        test: Further labelled rows, where the source has them.
        description: Which columns were taken and how many rows there are, shown before a run.
    """

    task: Task
    train: Dataset
    validation: Dataset
    test: Dataset | None
    description: str
