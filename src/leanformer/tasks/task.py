"""What is to be solved: a task, and the data that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["classification", "regression", "token-classification"]


@dataclass(frozen=True)
class Task:
    """One task for a classifier of texts, or of the words in them.

    Attributes:
        name: Short name for people, for example `mrpc` or the data folder's name.
        kind: `classification` or `regression` of texts, or `token-classification`: spans of words.
        pair: Whether each example has two texts.
        labels: The label names; position in the tuple is the label id. Empty for regression; for spans in the order
            of `leanformer.tasks.spans.span_labels`.
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
        return 1 if self.kind == "regression" else len(self.labels)


@dataclass(frozen=True)
class TaskData:
    """A task with its data.

    Attributes:
        task: The task.
        train: Rows to learn from. Columns of each data set: `text`, `text_pair` (pairs only), `label`
            (int id or float) and `row` (1-based line or row number in the source file). For spans also `words`, and
            `label` has one id a word, padded to the longest sentence.
        validation: Rows the report is measured on.
        test: Further labelled rows, where the source has them.
        description: Which columns were taken and how many rows there are, shown before a run.
    """

    task: Task
    train: Dataset
    validation: Dataset
    test: Dataset | None
    description: str
