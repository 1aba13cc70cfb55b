"""A tiny problem for the methods, with a recovery of a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from leanformer.budget import Budget
from leanformer.job_file import toml_text
from leanformer.methods import ae_bert, steps, tr_bert
from leanformer.methods.problem import Compressed, Problem


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A dozen candidates, and ten steps of recovery."""
    recipe = steps.recovery_config
    for module in (steps, tr_bert):
        monkeypatch.setattr(module, "recovery_config", lambda *given: replace(recipe(*given), max_steps=10))
    monkeypatch.setattr(ae_bert, "CANDIDATES", 12)


@pytest.fixture
def problem(
    tiny_model, tiny_tokenizer, mood_task, mood_train, mood_held_out, tmp_path
) -> Callable[..., Problem]:
    """The factory problem(granularity="unit", ratio=0.6, folder="run", **other fields)."""

    def make(granularity: str = "unit", ratio: float = 0.6, folder: str | Path = "run", **fields) -> Problem:
        teacher = tiny_model("bert", hidden=16, heads=4, width=48)
        with torch.no_grad():  # one layer of large weights, so that global and uniform differ
            for parameter in teacher.bert.encoder.layer[1].parameters():
                if parameter.ndim > 1:
                    parameter.mul_(1.5)
        given = {"seed": 0, "resume": False, "quick": False, "budget": Budget(ratio), **fields}
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        rows = (mood_task, mood_train.select(range(64)), mood_held_out)
        dense = given.pop("teacher", teacher)
        return Problem(dense, tiny_tokenizer, *rows, granularity=granularity, folder=path, **given)

    return make


@pytest.fixture
def finished_run():
    """finished_run(folder, method, found, case, seed=0): writes what a run of a method leaves of its training."""

    def write(folder: Path, method: str, found: Compressed, case: Problem, seed: int = 0) -> None:
        for part in (found.model, case.tokenizer):
            part.save_pretrained(folder / "model")
        settings = {"method": method, "seed": seed, "options": dict(case.options)}
        (folder / "job.toml").write_text(toml_text("", settings))
        (folder / "result.json").write_text(json.dumps({"training": found.training}))

    return write
