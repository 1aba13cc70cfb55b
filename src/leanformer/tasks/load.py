"""From what the user says about the data to a task with its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from leanformer.errors import DataError
from leanformer.tasks.columns import (
    Columns,
    check_columns,
    choose_columns,
    choose_question_columns,
    choose_word_columns,
    holds_answers,
    holds_words,
)
from leanformer.tasks.judged import examples_in
from leanformer.tasks.labels import (
    check_present,
    check_varied,
    class_ids,
    class_name,
    class_names,
    guess_kind,
    is_missing,
    target_values,
)
from leanformer.tasks.metrics import metric_for
from leanformer.tasks.questions import PLACES, question_rows
from leanformer.tasks.read import Table
from leanformer.tasks.sources import DataSpec, Source, read_source
from leanformer.tasks.split import hold_out
from leanformer.tasks.tags import check_sentences, tag_ids, tag_names
from leanformer.tasks.task import Kind, Task, TaskData
from leanformer.tasks.words import OUTSIDE, WORDS

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["DataSpec", "load_data"]

VALIDATION_SHARE = 0.1
SPLIT_SEED = 0
DEFAULT_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy",),
    "regression": ("spearman", "pearson"),
    "embedding": ("spearman_cosine", "pearson_cosine"),
    "token-classification": ("span-f1", "span-precision", "span-recall", "token-accuracy"),
    "question-answering": ("answer-f1", "exact-match"),
}
"""The main one first."""

SHAPED = {"token-classification": "lists of words", "question-answering": "questions with their answers"}
"""Kinds that are told by the shape of the rows, and what these hold."""

FEWEST_ROWS = 20  # a tenth of fewer rows is no validation set


def load_data(spec: DataSpec) -> TaskData:
    """Load a task's data.

    Without validation rows a fixed, stratified tenth of the training rows becomes the validation set.

    Args:
        spec: What the user says about the data.

    Returns:
        The task, its rows, and a description for the user.

    Raises:
        DataError: If the data can not be used; one sentence says what, where and what to do.
    """
    source = read_source(spec)
    train = source.tables["train"]
    columns = _columns(source, spec)
    task = _task(source, spec, columns)
    tables = _labelled(source.tables, columns)
    datasets = (
        _sentences(tables, columns, task)
        if columns.words
        else {
            split: _dataset(table, columns, task, split, blank_texts=source.glue is not None)
            for split, table in tables.items()
        }
    )
    notes = list(source.notes)
    if "test" in source.tables and "test" not in datasets:
        notes.append("the test rows have no labels and are not used")
    if "validation" not in datasets:
        rows = len(datasets["train"])
        if rows < FEWEST_ROWS * task.texts_each:
            raise DataError(
                f"{train.source} has {len(train.rows)} rows, too few to take validation rows from: "
                "give them with --validation"
            )
        datasets["train"], datasets["validation"] = hold_out(
            datasets["train"], task, max(round(VALIDATION_SHARE * rows), task.num_labels), SPLIT_SEED
        )
        notes.append(f"validation rows: {_how_held_out(task)}")
    if spec.train_rows is not None:
        datasets["train"] = _first_rows(datasets["train"], task, spec.train_rows)
        notes.append(
            f"of the training rows only the first {spec.train_rows} are used, or all if they are fewer"
        )
    guessed = source.glue is None and None in (spec.text, spec.label)
    description = _describe(task, columns, datasets, notes, guessed)
    return TaskData(task, datasets["train"], datasets["validation"], datasets.get("test"), description)


def _columns(source: Source, spec: DataSpec) -> Columns:
    """Settle the columns: the user's word first, then the source's, then a guess."""
    train = source.tables["train"]
    if holds_answers(train, spec.label):
        columns = choose_question_columns(train, spec.text, spec.text_pair, spec.label)
    elif holds_words(train, spec.text):
        columns = choose_word_columns(train, spec.text, spec.text_pair, spec.label)
    elif source.glue is None or spec.text or spec.text_pair or spec.label:
        columns = choose_columns(train, spec.text, spec.text_pair, spec.label)
    else:
        columns = source.glue.columns
    wanted = {"text": columns.text, "text_pair": columns.text_pair, "label": columns.label}
    for split, table in source.tables.items():
        is_test = split == "test"  # its labels may lack
        check_columns(table, {use: name for use, name in wanted.items() if not (is_test and use == "label")})
    return columns


def _labelled(tables: dict[str, Table], columns: Columns) -> dict[str, Table]:
    """Leave out test rows without labels (absent, or -1 throughout as the hub has them)."""
    test = tables.get("test")
    if test is None:
        return tables
    labels = test.columns.get(columns.label, [])
    if all(is_missing(label) or class_name(label) == "-1" for label in labels):
        return {split: table for split, table in tables.items() if split != "test"}
    return tables


def _task(source: Source, spec: DataSpec, columns: Columns) -> Task:
    """Settle the task: kind, labels and metrics."""
    train = source.tables["train"]
    if not columns.words and not columns.answers:
        check_present(train, columns.label)
        check_varied(train, columns.label)
    settled = None
    if (
        source.glue is not None
        and source.glue.columns == columns
        and spec.kind in (None, source.glue.task.kind)
    ):
        settled = source.glue.task
    if settled is None:
        kind = _kind(train, spec, columns)
        labels = _labels(train, columns, kind)
        metrics = DEFAULT_METRICS[kind]
        settled = Task(source.name, kind, columns.text_pair is not None, labels, metrics[0], metrics[1:])
    if spec.metric is None:
        return settled
    metric_for(spec.metric, settled.kind)
    extra = tuple(name for name in (settled.metric, *settled.extra_metrics) if name != spec.metric)
    return replace(settled, metric=spec.metric, extra_metrics=extra)


def _kind(train: Table, spec: DataSpec, columns: Columns) -> Kind:
    """Settle the kind of task."""
    if spec.kind is not None and spec.kind not in DEFAULT_METRICS:
        raise DataError(
            f"there is no kind of task '{spec.kind}': choose "
            f"{' or '.join(f'--kind {kind}' for kind in DEFAULT_METRICS)}"
        )
    if spec.kind == "embedding" and columns.text_pair is None:
        raise DataError(
            f"embeddings are judged by how alike two texts are, and {train.source} has one text a row: name the "
            "column of the other with --text-pair"
        )
    shaped: Kind | None = (
        "token-classification" if columns.words else "question-answering" if columns.answers else None
    )
    if spec.kind is not None and shaped != (spec.kind if spec.kind in SHAPED else None):
        held = SHAPED.get(shaped or "", "texts")
        raise DataError(
            f"'{columns.text}' of {train.source} holds {held}, which {spec.kind} does not take: choose the column "
            "with --text, or leave --kind out"
        )
    if shaped is not None:
        return shaped
    return guess_kind(train, columns.label) if spec.kind is None else cast(Kind, spec.kind)


def _labels(train: Table, columns: Columns, kind: Kind) -> tuple[str, ...]:
    """Collect the names of the labels; values have none."""
    if kind == "token-classification":
        check_sentences(train, columns.text, columns.label)
        return tag_names(train, columns.label)
    if kind == "question-answering":
        return PLACES
    return class_names(train, columns.label) if kind == "classification" else ()


def _dataset(table: Table, columns: Columns, task: Task, split: str, blank_texts: bool) -> Dataset:
    """Bring a table into the form of TaskData."""
    from datasets import Dataset, Features, Value

    if columns.answers:
        return Dataset.from_dict(question_rows(table, columns), split=split)
    check_present(table, columns.label)
    data: dict[str, list] = {"text": _texts(table, columns.text, blank_texts)}
    if columns.text_pair is not None:
        data["text_pair"] = _texts(table, columns.text_pair, blank_texts)
    if task.kind == "classification":
        data["label"] = class_ids(table, columns.label, task.labels)
    else:
        data["label"] = target_values(table, columns.label)
    data["row"] = table.rows
    if task.kind == "embedding":
        data = _each_text_alone(data)
    types = {"label": "int64" if task.kind == "classification" else "float64", "row": "int64"}
    features = Features({name: Value(types.get(name, "string")) for name in data})
    return Dataset.from_dict(data, features=features, split=split)


def _each_text_alone(data: dict[str, list]) -> dict[str, list]:
    """Put the second text of each pair behind the first, as a row of its own."""
    pairs = zip(data.pop("text"), data.pop("text_pair"), strict=True)
    both = {name: [value for value in values for _ in range(2)] for name, values in data.items()}
    return {"text": [text for pair in pairs for text in pair], **both}


def _sentences(tables: dict[str, Table], columns: Columns, task: Task) -> dict[str, Dataset]:
    """Bring tables of tagged sentences into the form of TaskData, all padded to the longest sentence of all."""
    from datasets import Dataset, Features, List, Value

    string, number = Value("string"), Value("int64")
    features = Features({"text": string, WORDS: List(string), "label": List(number), "row": number})
    for table in tables.values():
        check_sentences(table, columns.text, columns.label)
    width = max(len(words) for table in tables.values() for words in table.columns[columns.text])
    datasets = {}
    for split, table in tables.items():
        words = table.columns[columns.text]
        data = {
            "text": [" ".join(sentence) for sentence in words],
            WORDS: words,
            "label": tag_ids(table, columns.label, task.labels, width),
            "row": table.rows,
        }
        datasets[split] = Dataset.from_dict(data, features=features, split=split)
    return datasets


def _texts(table: Table, column: str, blank_texts: bool) -> list[str]:
    """Take a column of texts; official data may hold blank ones, users' data may not."""
    texts = table.columns[column]
    for index, text in enumerate(texts):
        if text is None or (not blank_texts and is_missing(text)):
            raise DataError(f"{table.where(index)} has no text in '{column}': fill it in, or drop the row")
        if not isinstance(text, str):
            raise DataError(
                f"{table.where(index)} has {text!r} in '{column}', which is not text: "
                "choose the column with --text"
            )
    return texts


def _first_rows(train: Dataset, task: Task, rows: int) -> Dataset:
    """Take the first training rows and check that there is something left to learn."""
    if rows < 1:
        raise DataError(f"--train-rows {rows} leaves no training rows: give a positive number")
    first = train.select(range(min(rows * task.texts_each, len(train))))
    if task.kind == "token-classification":
        if not any(label > OUTSIDE for labels in first["label"][:] for label in labels):
            raise DataError(f"the first {rows} training rows have no span: raise --train-rows")
    elif task.kind == "question-answering":
        return first
    elif len(set(first["label"][:])) < 2:
        raise DataError(f"the first {rows} training rows all have the same label: raise --train-rows")
    return first


def _how_held_out(task: Task) -> str:
    """Say how validation rows were taken: by classes, or by what belongs together."""
    if task.kind == "question-answering":
        return "a fixed tenth of the training rows, by whole articles or texts"
    return f"a fixed {'stratified ' if task.labels else ''}tenth of the training rows"


def _describe(
    task: Task, columns: Columns, datasets: dict[str, Dataset], notes: list[str], guessed: bool
) -> str:
    """Say what was understood, for the user to check."""
    named = [label[2:] for label in task.labels[1::2]] if columns.words else task.labels
    names = ", ".join(named[:8]) + (", ..." if len(named) > 8 else "")
    what = "types of spans" if columns.words else "labels"
    labels = f", {len(named)} {what} ({names})" if task.labels and not columns.answers else ""
    origin = " (guessed: change with --text, --text-pair, --label)" if guessed else ""
    sizes = ", ".join(f"{split} {examples_in(dataset, task)}" for split, dataset in datasets.items())
    of = "questions" if columns.answers else "text pairs" if task.pair else "texts"
    return "\n".join(
        [
            f"{task.name}: {task.kind} of {of}{labels}",
            f"metric: {', '.join((task.metric, *task.extra_metrics))}",
            f"columns: {columns}{origin}",
            f"rows: {sizes}",
            *notes,
        ]
    )
