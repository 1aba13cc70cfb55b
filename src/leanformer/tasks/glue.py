"""The nine tasks of GLUE in their official TSV layout (Wang et al., 2019), with their official metrics.

The quirks: no quoting anywhere; CoLA has no header; MNLI is validated on its matched half and carries five
annotators' labels before the gold one; QQP holds a few broken lines; labels are words in some tasks and numbers
in others. The official test files carry no labels and are not read; MRPC and STS-B have labelled ones elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from leanformer.errors import DataError
from leanformer.tasks.columns import Columns
from leanformer.tasks.read import Table, read_text, separated_table
from leanformer.tasks.task import Task


@dataclass(frozen=True)
class GlueTask:
    """The layout of one GLUE task.

    Attributes:
        task: Its name, labels and metrics.
        folder: The folder's official name.
        columns: The columns taken.
        values: What stands in the file for each label, in the order of the labels; empty for regression.
        dev: The validation file.
        test: A labelled test file which some distributions have.
        header: The column names of files without a header, by file name; "*" stands for all other names.
        may_break: Whether lines with another number of fields are dropped (QQP's official file has some).
    """

    task: Task
    folder: str
    columns: Columns
    values: tuple[str, ...] = ()
    dev: str = "dev.tsv"
    test: str | None = None
    header: dict[str, list[str]] | None = None
    may_break: bool = False


def _classes(name: str, pair: bool, labels: tuple[str, ...], metric: str = "accuracy", *extra: str) -> Task:
    """Make a classification task."""
    return Task(name, "classification", pair, labels, metric, extra)


ENTAILMENT = ("entailment", "not_entailment")
COLA_HEADER = ["source", "label", "annotator_mark", "sentence"]
STS_TEST_HEADER = ["genre", "filename", "year", "old_index", "score", "sentence1", "sentence2"]
GLUE: dict[str, GlueTask] = {
    glue.task.name: glue
    for glue in (
        GlueTask(
            _classes("cola", False, ("unacceptable", "acceptable"), "matthews"),
            "CoLA",
            Columns("sentence", None, "label"),
            ("0", "1"),
            header={"*": COLA_HEADER},
        ),
        GlueTask(
            _classes("sst-2", False, ("negative", "positive")),
            "SST-2",
            Columns("sentence", None, "label"),
            ("0", "1"),
        ),
        GlueTask(
            _classes("mrpc", True, ("not_equivalent", "equivalent"), "accuracy", "f1"),
            "MRPC",
            Columns("#1 String", "#2 String", "Quality"),
            ("0", "1"),
            test="test_labeled.tsv",
        ),
        GlueTask(
            Task("sts-b", "regression", True, (), "spearman", ("pearson",)),
            "STS-B",
            Columns("sentence1", "sentence2", "score"),
            test="test_labeled_sts-test.tsv",
            header={"test_labeled_sts-test.tsv": STS_TEST_HEADER},
        ),
        GlueTask(
            _classes("qqp", True, ("not_duplicate", "duplicate"), "accuracy", "f1"),
            "QQP",
            Columns("question1", "question2", "is_duplicate"),
            ("0", "1"),
            may_break=True,
        ),
        GlueTask(
            _classes("mnli", True, ("entailment", "neutral", "contradiction")),
            "MNLI",
            Columns("sentence1", "sentence2", "gold_label"),
            ("entailment", "neutral", "contradiction"),
            dev="dev_matched.tsv",
        ),
        GlueTask(
            _classes("qnli", True, ENTAILMENT), "QNLI", Columns("question", "sentence", "label"), ENTAILMENT
        ),
        GlueTask(
            _classes("rte", True, ENTAILMENT), "RTE", Columns("sentence1", "sentence2", "label"), ENTAILMENT
        ),
        GlueTask(
            _classes("wnli", True, ("not_entailment", "entailment")),
            "WNLI",
            Columns("sentence1", "sentence2", "label"),
            ("0", "1"),
        ),
    )
}


def glue_task(name: str) -> GlueTask | None:
    """Find a GLUE task by a name that may be spelt freely: `STS-B`, `stsb`, `sts_b`.

    Args:
        name: What the user wrote.

    Returns:
        The task, or None if it is not one of the nine.
    """
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return next((glue for key, glue in GLUE.items() if key.replace("-", "") == plain), None)


def glue_folder(glue: GlueTask, data_dir: str | Path) -> Path:
    """Find the folder of a task.

    Args:
        glue: The task.
        data_dir: The folder itself, or the one above it.

    Returns:
        The folder that holds the task's train.tsv.

    Raises:
        DataError: If there is none, or it holds other files than the official ones.
    """
    above = Path(data_dir)
    if not above.is_dir():
        raise DataError(f"there is no folder {above}: give the GLUE folder of {glue.folder} with --data-dir")
    inside = [child for child in above.iterdir() if child.is_dir() and glue_task(child.name) is glue]
    for folder in (above, *sorted(inside)):
        if (folder / "train.tsv").is_file() and (folder is not above or not _belongs_to_another(above, glue)):
            return folder
    place = inside[0] if inside else above
    others = sorted(child.name for child in place.iterdir() if child.is_file())
    hint = f"it holds {', '.join(others[:8])}; give other layouts as files (--data FILE --validation FILE)"
    raise DataError(
        f"{place} has no official train.tsv of {glue.folder}: {hint if others else 'check --data-dir'}"
    )


def _belongs_to_another(folder: Path, glue: GlueTask) -> bool:
    """Whether a folder bears the name of another GLUE task."""
    named = glue_task(folder.resolve().name)
    return named is not None and named is not glue


def read_glue(glue: GlueTask, path: Path) -> tuple[Table, int]:
    """Read one official file.

    Args:
        glue: The task.
        path: The file.

    Returns:
        The table, its label column in the task's label names, and the number of broken lines dropped.

    Raises:
        DataError: If the file is missing, empty or not in the official layout; names the line.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}: the official layout of {glue.folder} has it")
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty: fetch the official file of {glue.folder} again")
    dropped = 0
    if glue.may_break:
        text, dropped = _without_broken_lines(path, text)
    headers = glue.header or {}
    header = headers.get(path.name, headers.get("*"))
    table = separated_table(path, text, "\t", quoted=False, header=header)
    if not table.rows:
        raise DataError(f"{path} has no rows: fetch the official file of {glue.folder} again")
    return _named(glue, table), dropped


def _without_broken_lines(path: Path, text: str) -> tuple[str, int]:
    """Blank out the lines whose number of fields is not the header's, so that line numbers stay true."""
    lines = text.split("\n")
    fields = lines[0].count("\t")
    kept = [line if line.count("\t") == fields else "" for line in lines]
    broken = sum(bool(line.strip()) and not keep for line, keep in zip(lines, kept, strict=True))
    return "\n".join(kept), broken


def _named(glue: GlueTask, table: Table) -> Table:
    """Replace the file's label values by the task's label names."""
    column = glue.columns.label
    if not glue.values or column not in table.columns:
        return table
    names = dict(zip(glue.values, glue.task.labels, strict=True))
    values = [names.get(value.strip(), value) for value in table.columns[column]]
    return replace(table, columns={**table.columns, column: values})
