"""One encoder for two tasks, or two encoders under the same budget? Movement pruning of single weights, MiniLM.

    python benchmarks/multitask.py MODEL --data ../shared/data/glue

MODEL is a folder without a task head. The budget is half of one encoder's weights. The joint encoder keeps it all;
the single-task encoders share it, in three splits, and the best of these is taken by the mean over both tasks of the
very rows that are reported: a favour to the splits. The joint run teaches the second task from the first one's
encoder, the single-task runs each from MODEL. Scores are of validation rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, SCRATCH, TRAIN_ROWS, write_result

TASKS = GLUE_FOLDERS
BUDGET = 0.5  # of one encoder's weights
SHARES = (0.1, 0.25, 0.4)  # that one task gets; the other one gets the rest


def main() -> int:
    """Run the joint encoder and the single ones, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder without a task head")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    joint = joint_scores(options)
    single = {task: {share: single_score(options, task, share) for share in SHARES} for task in TASKS}
    first, second = TASKS
    splits = [
        {first: single[first][share], second: single[second][round(BUDGET - share, 2)], "shares": [share]}
        for share in SHARES
    ]
    best = max(splits, key=lambda split: split[first]["compressed"] + split[second]["compressed"])
    figures = {"budget": BUDGET, "joint": joint, "splits": splits, "best": best}
    said = f"python benchmarks/multitask.py MODEL --data {options.data}"
    write_result(RESULTS / "pruning" / "multitask.json", figures, options.seed, options.threads, said)
    return 0


def joint_scores(options: argparse.Namespace) -> dict[str, Any]:
    """Prune one encoder for both tasks; return dense and compressed score of each on validation rows."""
    first, second = TASKS
    out = SCRATCH / "multitask" / f"joint-{options.seed}"
    folder = Path(options.data) / TASKS[second]
    more = ["--method", "multitask", "--pruning-ratio", str(1 - BUDGET)]
    more += ["--option", f"with={second}@{folder}", "--option", f"rows={TRAIN_ROWS[second]}"]
    record = compressed(options, first, options.model, out, more)
    other = evaluated(options, out / "model" / "tasks" / second, second)
    dense = next(task["dense"] for task in record["tasks"] if task["name"] == second)
    return {
        first: {
            "dense": record["dense"]["score"],
            "compressed": record["compressed"]["score"],
            "n": record["n"],
        },
        second: {"dense_held_out": dense, "compressed": other["score"], "n": other["n"]},
        "held_out": record["tasks"],
        "steps": record["training"]["steps"],
    }


def single_score(options: argparse.Namespace, task: str, share: float) -> dict[str, Any]:
    """Prune an encoder for one task down to a share of its weights; return its scores on validation rows."""
    out = SCRATCH / "multitask" / f"{task}-{share:g}-{options.seed}"
    shared = SCRATCH / "multitask" / f"dense-{task}-{options.seed}"
    model = str(shared.resolve()) if shared.exists() else options.model
    more = ["--method", "movement", "--granularity", "weight", "--option", "selection=local"]
    record = compressed(options, task, model, out, [*more, "--pruning-ratio", f"{1 - share:g}"])
    if not shared.exists():
        shared.symlink_to(out / "teacher")
    return {
        "share": share,
        "dense": record["dense"]["score"],
        "compressed": record["compressed"]["score"],
        "n": record["n"],
        "steps": record["training"]["steps"],
    }


def compressed(
    options: argparse.Namespace, task: str, model: str, out: Path, more: list[str]
) -> dict[str, Any]:
    """Run one compression, or go on with it; return its record."""
    parts = [sys.executable, "-m", "leanformer", "compress", model, "--data", task, "--out", str(out), *more]
    parts += ["--data-dir", str(Path(options.data) / TASKS[task]), "--no-export", "--no-timing", "--resume"]
    parts += ["--train-rows", str(TRAIN_ROWS[task])] if task in TRAIN_ROWS else []
    parts += ["--seed", str(options.seed), "--threads", str(options.threads)]
    done = subprocess.run(parts, check=False)
    if not (out / "result.json").is_file():
        sys.exit(f"{out.name}: no result, exit code {done.returncode}")
    record: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return record


def evaluated(options: argparse.Namespace, model: Path, task: str) -> dict[str, Any]:
    """Return what a model scores on a task's validation rows."""
    parts = [sys.executable, "-m", "leanformer", "evaluate", str(model), "--data", task, "--json"]
    parts += ["--data-dir", str(Path(options.data) / TASKS[task])]
    done = subprocess.run(parts, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
