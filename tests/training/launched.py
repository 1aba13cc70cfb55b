"""A small training that a launcher can start several times at once: python launched.py KIND FOLDER [DIE_AT]."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from leanformer.tasks.task import Task
from leanformer.training import processes
from leanformer.training import teacher as teaching
from leanformer.training import trainer as trainers
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import TrainingResult, fine_tune
from leanformer.training.objective import Objective
from leanformer.training.teacher import teacher_for
from tiny import build_model, build_rows, build_tokenizer, encode_rows

KINDS = ("plain", "distilled")
CONFIG = TrainingConfig(3e-3, epochs=3, batch_size=16, dropout=False)  # 24 steps, a checkpoint every second
TASK = Task("mood", "classification", pair=False, labels=("negative", "positive"), metric="accuracy")


def train(kind: str, folder: Path, die_at: int | None = None) -> TrainingResult:
    """Train the tiny model; kill this process, the hard way, after a step."""
    torch.set_num_threads(1)
    tokenizer, model = build_tokenizer(), build_model("bert", layers=1, hidden=16, width=32)
    rows = encode_rows(build_rows(128, seed=3), tokenizer)
    objective, teacher = None, None
    if kind == "distilled":
        objective = Objective(task=0.5, logits=1.0, hidden=1.0, hidden_layers=(1,))
        dense = build_model("bert", layers=1, hidden=16, width=64)
        teacher = teacher_for(dense, tokenizer, rows, (1,), folder / "teacher-outputs")

    def on_step(step: int, total: int) -> None:
        if step == die_at and processes.leads():
            os.kill(os.getpid(), signal.SIGKILL)

    return fine_tune(
        model, tokenizer, TASK, rows, CONFIG, folder / "run", "Training", objective, teacher, on_step
    )


def in_full_precision() -> None:
    """Let sums depend on the order of the rows as little as they can."""
    teaching.has_fast_bfloat16 = trainers.has_fast_bfloat16 = lambda: False


if __name__ == "__main__":
    in_full_precision()
    result = train(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
    facts = {"processes": processes.count(), "curve": result.curve, "steps": result.steps}
    (Path(sys.argv[2]) / f"rank-{processes.rank()}.json").write_text(json.dumps(facts), encoding="utf-8")
