"""A problem of a GLUE task for benches that train and judge by themselves: the dense model, and rows held out."""

from __future__ import annotations

from pathlib import Path

from grid import GLUE_FOLDERS
from leanformer.budget import Budget
from leanformer.methods.problem import Problem
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.split import split_held_out

SEED = 0


def glue_problem(
    dense: str | Path, data: Path, task: str, train_rows: int | None, home: Path, ratio: float = 0.5
) -> Problem:
    """Return the problem, asked for a share of the heads and neurons.

    Args:
        dense: A fine-tuned model folder.
        data: The folder with the GLUE tasks.
        task: One of them.
        train_rows: How many of the first training rows there are; all by default.
        home: Where its trainings keep their checkpoints; it is made.
        ratio: The share.

    Returns:
        The problem; trainings read the held-out rows, too, unless it is told that trained models are judged.
    """
    folder = data / GLUE_FOLDERS[task]
    rows = load_data(DataSpec(source=task, data_dir=str(folder), train_rows=train_rows))
    model, tokenizer, _ = load_model(str(dense), rows.task, finetune=False)
    longest = longest_input(model, tokenizer, None)
    train, validation = (encode(some, tokenizer, longest, True) for some in (rows.train, rows.validation))
    train, held_out = split_held_out(train, validation, rows.task, SEED)
    home.mkdir(parents=True, exist_ok=True)
    return Problem(
        *(model.eval(), tokenizer, rows.task, train, held_out, Budget(ratio), "unit", SEED, home),
        resume=False,
    )
