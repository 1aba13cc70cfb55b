"""The data of the leagues: GLUE tasks as they are, and folders of tagged words and of questions, written once."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, SCRATCH, TRAIN_ROWS

WNUT = {"train": "wnut17train.conll", "validation": "emerging.dev.conll", "test": "emerging.test.annotated"}
"""The files of WNUT-17 as they are published, by what they are for."""

SQUAD = "squad_v1.1_dev.json"
QUESTIONS = {"train": 3000, "validation": 1000, "test": 1000}
"""Questions at least, of whole articles: SQuAD's published dev file is all that there is here."""

TASKS = (*GLUE_FOLDERS, "wnut-17", "squad")
SEED = 0


def data_arguments(task: str, data: Path) -> list[str]:
    """Return what names a task's data on leanformer's command line; a folder is written where there is none.

    Args:
        task: One of TASKS.
        data: The folder with the GLUE tasks, with WNUT-17, or with SQuAD's dev file.

    Returns:
        Arguments.
    """
    if task in GLUE_FOLDERS:
        rows = ["--train-rows", str(TRAIN_ROWS[task])] if task in TRAIN_ROWS else []
        return ["--data", task, "--data-dir", str(data / GLUE_FOLDERS[task]), *rows]
    folder = SCRATCH / "data" / task
    if not folder.is_dir():
        written = folder.with_suffix(".partial")
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
        (write_tags if task == "wnut-17" else write_questions)(data, written)
        written.replace(folder)
    return ["--data", str(folder), *(["--max-tokens", "384"] if task == "squad" else [])]


def write_tags(data: Path, folder: Path) -> None:
    """Write the files of WNUT-17 under the names that a folder of data has."""
    for split, name in WNUT.items():
        shutil.copyfile(data / name, folder / f"{split}.conll")


def write_questions(data: Path, folder: Path) -> None:
    """Draw whole articles, always the same ones, until a file has its questions."""
    articles = json.loads((data / SQUAD).read_text(encoding="utf-8"))["data"]
    random.Random(SEED).shuffle(articles)
    for split, wanted in QUESTIONS.items():
        drawn: list[dict[str, Any]] = []
        while sum(map(n_questions, drawn)) < wanted:
            drawn.append(articles.pop())
        (folder / f"{split}.json").write_text(json.dumps({"version": "1.1", "data": drawn}), encoding="utf-8")


def n_questions(article: dict[str, Any]) -> int:
    """Return how many questions an article has."""
    return sum(len(paragraph["qas"]) for paragraph in article["paragraphs"])
