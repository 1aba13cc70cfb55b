"""Which head a checkpoint bears, and whether its labels are those of the data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from leanformer.tasks.task import Kind, Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

NAMELESS = re.compile(r"(label_)?\d+")  # LABEL_0 or 0: a name that says nothing but its place
PROBLEM_TYPES: dict[Kind, Literal["regression", "single_label_classification"] | None] = {
    "classification": "single_label_classification",
    "regression": "regression",
    "token-classification": None,  # transformers has no name for it
    "question-answering": None,
}
AUTO_CLASSES: dict[Kind, str] = {
    "classification": "AutoModelForSequenceClassification",
    "regression": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
}


def bears_head(config: PreTrainedConfig, kind: Kind) -> bool:
    """Whether a checkpoint has the kind of head that a kind of task needs, as its configuration says.

    Args:
        config: The checkpoint's configuration.
        kind: The kind of task.

    Returns:
        True also where the head's labels are not those of a task.
    """
    suffix = AUTO_CLASSES[kind].removeprefix("AutoModel")
    return any(name.endswith(suffix) for name in config.architectures or ())


def head_mismatch(config: PreTrainedConfig, task: Task) -> str | None:
    """Say how a checkpoint's head differs from what the task needs.

    Args:
        config: The checkpoint's configuration.
        task: The task.

    Returns:
        A clause for a message, or None where the head fits.
    """
    from leanformer.encoders.sentence import pooling_of

    if task.kind == "embedding":
        return None if pooling_of(config) else "it gives no sentence embeddings"
    if pooling_of(config):
        return f"it gives sentence embeddings and the task '{task.name}' is {task.kind}"
    if config.num_labels != task.num_labels:
        return f"it has {config.num_labels} outputs and the task '{task.name}' needs {task.num_labels}"
    wanted = PROBLEM_TYPES[task.kind]
    if config.problem_type not in (None, wanted):
        return f"it was made for {config.problem_type} and the task '{task.name}' is {wanted}"
    names, labels = _plain_names(config), [_plain(label) for label in task.labels]
    if task.kind != "regression" and _speak(names) and _speak(labels) and set(names) != set(labels):
        return (
            f"its labels are {', '.join(names)} and the labels of '{task.name}' are {', '.join(task.labels)}"
        )
    return None


def _plain(name: Any) -> str:
    """Write a label name plainly, so that NOT_ENTAILMENT and not-entailment are one."""
    return re.sub(r"[\s_-]+", "_", str(name).strip().lower())


def _plain_names(config: PreTrainedConfig) -> list[str]:
    """List the head's label names by output."""
    return [_plain(name) for _, name in sorted((config.id2label or {}).items())]


def _speak(names: list[str]) -> bool:
    """Whether label names are words rather than numbers; numbers are trusted to be in order."""
    return not all(NAMELESS.fullmatch(name) for name in names)


def label_order(config: PreTrainedConfig, task: Task) -> list[int] | None:
    """Find which output of a head stands for each label of a task.

    Args:
        config: The checkpoint's configuration.
        task: The task.

    Returns:
        The output's index for each label, or None if they are in order already.
    """
    names, labels = _plain_names(config), [_plain(label) for label in task.labels]
    if names == labels or set(names) != set(labels):
        return None
    return [names.index(label) for label in labels]
