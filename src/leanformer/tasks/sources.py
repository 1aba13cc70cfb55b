"""Where the data come from: a folder, a file, a GLUE task by name, or a data set of the hub."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from leanformer.errors import DataError
from leanformer.tasks.glue import GLUE, GlueTask, glue_folder, glue_task, read_glue
from leanformer.tasks.read import SUFFIXES, Table, dataset_table, read_table

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
SHARD = re.compile(r"-\d+-of-\d+$")  # train-00000-of-00001.parquet, as `datasets` writes them
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")  # name or owner/name


@dataclass(frozen=True)
class DataSpec:
    """What the user says about the data.

    Attributes:
        source: A folder, a file, a GLUE task's name, or a hub id.
        data_dir: For a GLUE task: its folder, or the one above.
        config: For a hub id: the configuration.
        text: The column of the text; guessed if None.
        text_pair: The column of the second text; guessed if both it and `text` are None.
        label: The column of the label; guessed if None.
        metric: The main metric; by task if None.
        kind: `classification`, `regression`, `token-classification`, `question-answering` or `embedding`; guessed
            if None, but the last.
        train_rows: Use only the first so many training rows.
        validation: A file of validation rows, instead of what the source has.
        test: A file of test rows, instead of what the source has.
    """

    source: str
    data_dir: str | None = None
    config: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    metric: str | None = None
    kind: str | None = None
    train_rows: int | None = None
    validation: str | None = None
    test: str | None = None


@dataclass(frozen=True)
class Source:
    """The tables of a data set, before columns and labels are settled.

    Attributes:
        name: Short name for people.
        tables: Split -> table; `train` is always there.
        glue: The GLUE task, which settles columns, labels and metrics.
        notes: Remarks for the description.
    """

    name: str
    tables: dict[str, Table]
    glue: GlueTask | None = None
    notes: tuple[str, ...] = ()


def read_source(spec: DataSpec) -> Source:
    """Find and read the data.

    Args:
        spec: What the user says about the data.

    Returns:
        The tables by split.

    Raises:
        DataError: If the source does not exist, can not be reached or can not be decoded.
    """
    path, glue = local_path(spec.source), glue_task(spec.source)
    if spec.data_dir is not None:
        if glue is None:
            raise DataError(
                f"--data-dir goes with the name of a GLUE task ({', '.join(GLUE)}) and '{spec.source}' is none: "
                "give folders and files without it"
            )
        return _read_glue_source(glue, glue_folder(glue, spec.data_dir), spec)
    elif path.is_dir():
        named = glue_task(path.resolve().name)
        official = named is not None and (path / "train.tsv").is_file()
        if named and official:
            return _read_glue_source(named, path, spec)
        source = _read_folder(path)
    elif path.is_file():
        source = Source(path.stem, {"train": read_table(path)})
    elif glue is not None:
        raise DataError(
            f"the GLUE task {glue.folder} needs --data-dir with the folder of its official TSV files"
        )
    else:
        source = _read_hub(spec)
    explicit = {split: read_table(file) for split, file in _explicit_files(spec).items()}
    return replace(source, tables={**source.tables, **explicit})


def local_path(text: str) -> Path:
    """Return a path, `~` replaced by the home folder where there is one (pathlib raises where there is none).

    Args:
        text: What the user wrote.

    Returns:
        The path, whether it exists or not.
    """
    return Path(os.path.expanduser(text))


def _explicit_files(spec: DataSpec) -> dict[str, Path]:
    """Return the files that the user names for splits."""
    named = {"validation": spec.validation, "test": spec.test}
    return {split: local_path(file) for split, file in named.items() if file is not None}


def _read_glue_source(glue: GlueTask, folder: Path, spec: DataSpec) -> Source:
    """Read the official files of a GLUE task, or in their stead those that the user names."""
    files = {"train": folder / "train.tsv", "validation": folder / glue.dev}
    if glue.test is not None and (folder / glue.test).is_file():
        files["test"] = folder / glue.test
    files |= _explicit_files(spec)
    read = {split: read_glue(glue, path) for split, path in files.items()}
    notes = tuple(
        f"{dropped} broken lines of {files[split].name} were dropped"
        for split, (_, dropped) in read.items()
        if dropped
    )
    return Source(glue.task.name, {split: table for split, (table, _) in read.items()}, glue, notes)


def _read_folder(folder: Path) -> Source:
    """Read the files of a folder by their names."""
    files = sorted(
        child for child in folder.iterdir() if child.suffix.lower() in SUFFIXES and child.is_file()
    )
    tables = {}
    for split, names in SPLIT_NAMES.items():
        found = [file for file in files if SHARD.sub("", file.stem).lower() in names]
        if len(found) > 1:
            listing = ", ".join(file.name for file in found)
            raise DataError(
                f"{folder} has several {split} files ({listing}): keep one, or give the files by name"
            )
        if found:
            tables[split] = read_table(found[0])
    if "train" not in tables:
        listing = ", ".join(file.name for file in files[:8]) or "no data file"
        raise DataError(
            f"{folder} has no train file (train with one of {', '.join(SUFFIXES)}); it holds {listing}: "
            "rename them, or give them as files (--data FILE --validation FILE)"
        )
    return Source(folder.resolve().name, tables)


def _read_hub(spec: DataSpec) -> Source:
    """Read a data set of the hub, or of its cache on this machine."""
    is_file_name = "/" not in spec.source or Path(spec.source).suffix.lower() in SUFFIXES
    if is_file_name or not HUB_ID.fullmatch(
        spec.source
    ):  # a mistyped name is not worth a question to the network
        raise DataError(
            f"there is no file, folder or GLUE task {spec.source}: check the name (a hub data set is owner/name)"
        )
    from datasets import Dataset, DatasetDict, load_dataset

    try:
        loaded = load_dataset(spec.source, spec.config)
    except (
        Exception
    ) as error:  # the hub, the network, the cache and the data set's files each have their own errors
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(
            f"'{spec.source}' is no file, folder or GLUE task here ({', '.join(GLUE)}), and can not be loaded as "
            f"a hub data set ({reason}): check the name, the configuration (--config) and the connection"
        ) from error
    splits = dict(loaded) if isinstance(loaded, DatasetDict) else {"train": loaded}
    tables = {}
    for split, names in SPLIT_NAMES.items():
        found = next((splits[name] for name in (*names, f"{names[0]}_matched") if name in splits), None)
        if isinstance(found, Dataset) and len(found):
            tables[split] = dataset_table(found, f"{spec.source} {split}")
    if "train" not in tables:
        raise DataError(
            f"the hub data set '{spec.source}' has no train split with rows: it has {', '.join(map(str, splits))}"
        )
    return Source(spec.source.split("/")[-1] + (f"-{spec.config}" if spec.config else ""), tables)
