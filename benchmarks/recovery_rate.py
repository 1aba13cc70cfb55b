"""How fast may recovery learn? The same pruned models at several learning rates, judged on held-out training rows.

    python benchmarks/recovery_rate.py --data ../shared/data/glue --model e5-small=../shared/models/e5-small

Three kinds of damage: light (SST-2 at 0.5) and heavy (MRPC at 0.8), both allocated by least reconstruction error and
repaired; and lost (MRPC at 0.8, global magnitude, not repaired). Each is trained as recovery does, on the rows that
are not held out, at 1, 3 and 10 times the dense learning rate; one JSON a cell in benchmarks/results/recovery_rate/.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from ae_bert import Cell, prepare
from grid import RESULTS, run_cells, write_result

FOLDER = RESULTS / "recovery_rate"
DAMAGED = {"light": ("sst-2", 0.5), "heavy": ("mrpc", 0.8), "lost": ("mrpc", 0.8)}
TIMES = (1, 3, 10)
RECONSTRUCTION_SEED = 2  # of the search's three seeds


def main() -> int:
    """Run one cell, or all that are missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with MRPC/ and SST-2/")
    parser.add_argument("--model", required=True, metavar="NAME=FOLDER", help="where the model lies")
    parser.add_argument("--workers", type=int, default=2, help="cells at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads a cell")
    parser.add_argument("--cell", help="run this one here")
    options = parser.parse_args()
    if options.cell:
        name, times = options.cell.split("_")
        run_cell(name, int(times), options.model, options.data, options.threads)
        return 0
    cells = [f"{name}_{times}" for name, times in product(DAMAGED, TIMES)]
    missing = [cell for cell in cells if not (FOLDER / f"{cell}.json").exists()]
    passed = ["--data", str(options.data), "--model", options.model, "--threads", str(options.threads)]
    return min(1, run_cells(__file__, missing, passed, options.workers, options.threads))


def run_cell(name: str, times: int, model: str, data: Path, threads: int) -> None:
    """Train one damaged model at one rate, and write how far from the teacher it ends."""
    import torch

    from leanformer.methods.steps import damage_of, distillation, recovery_config
    from leanformer.tasks.metrics import divergence
    from leanformer.tasks.predict import predict
    from leanformer.training.config import dense_rate
    from leanformer.training.finetune import fine_tune

    torch.set_num_threads(threads)
    task, ratio = DAMAGED[name]
    encoder, _, folder = model.partition("=")
    cell = Cell(encoder, task, "unit", ratio, f"rate-{name}-{times}", 0)
    problem, _, _ = prepare(cell, {encoder: folder}, data)
    student = damaged(problem, name)
    objective, teacher = distillation(problem)
    lost = damage_of(problem, student, objective, teacher)
    usual = recovery_config(problem, lost)
    config = replace(usual, learning_rate=times * dense_rate(problem.teacher.config.hidden_size))
    dense = predict(problem.teacher, problem.held_out, problem.tokenizer)
    before = divergence(dense, predict(student, problem.held_out, problem.tokenizer))
    scratch = problem.folder / "checkpoints"
    result = fine_tune(
        student,
        problem.tokenizer,
        problem.task,
        problem.train,
        config,
        scratch,
        "Recovery",
        objective,
        teacher,
    )
    figures: dict[str, Any] = {
        "damaged": name,
        "task": task,
        "ratio": ratio,
        "times": times,
        "damage": lost,
        "rule_times": usual.learning_rate / dense_rate(problem.teacher.config.hidden_size),
        "held_out_rows": len(problem.held_out),
        "divergence_before": before,
        "divergence": divergence(dense, predict(student, problem.held_out, problem.tokenizer)),
        "config": asdict(config),
        "curve": list(result.curve),
        "seconds": result.seconds,
    }
    command = (
        f"python benchmarks/recovery_rate.py --cell {name}_{times} --threads {threads} "
        f"--data {data} --model {model}"
    )
    write_result(FOLDER / f"{name}_{times}.json", figures, problem.seed, threads, command)
    shutil.rmtree(problem.folder, ignore_errors=True)


def damaged(problem: Any, name: str) -> Any:
    """Return the pruned model before it trains."""
    from leanformer.encoders.view import EncoderView
    from leanformer.methods.ae_bert import prepare as prepare_search
    from leanformer.methods.magnitude import global_allocation
    from leanformer.methods.steps import build_space, magnitude_scores
    from leanformer.search.realise import START, Realiser

    if name == "lost":
        view = EncoderView(problem.teacher)
        space, scores = build_space(view, problem), magnitude_scores(view, "unit")
        return Realiser(problem.teacher, space, scores).build(global_allocation(space, scores), "none")
    judge, seeds = prepare_search(problem)
    return judge.realiser.build(seeds[RECONSTRUCTION_SEED].candidate, START)


if __name__ == "__main__":
    sys.exit(main())
