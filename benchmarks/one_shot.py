"""What does pruning cost without any training? One-shot at shares of the multiply-accumulates, on a real model.

    python benchmarks/one_shot.py MODEL --data ../shared/data/glue

MODEL is a folder without a task head; the first run of a task fine-tunes it, the others prune the same dense model.
Each cell is `leanformer compress --method one-shot --macs-share SHARE`; scores are of validation rows, and of test
rows where they have labels: nothing was chosen on either.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, SCRATCH, TRAIN_ROWS, write_result

SHARES = (0.75, 0.6, 0.5, 0.4)
KEPT = (
    "n",
    "dense",
    "compressed",
    "drop_points",
    "drop_interval",
    "test",
    "pruning_ratio_reached",
    "macs_share",
)


def main() -> int:
    """Prune to each share, and write one JSON a task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder without a task head")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", action="append", choices=GLUE_FOLDERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for task in options.task or GLUE_FOLDERS:
        model, cells = options.model, []
        for share in SHARES:
            out = SCRATCH / "one-shot" / f"{task}-{share:g}"
            done = subprocess.run(command(options, task, model, share, out), check=False)
            if not (out / "result.json").is_file():
                print(f"{task} {share:g}: no result, exit code {done.returncode}", file=sys.stderr)
                return 1
            cells.append(kept(share, json.loads((out / "result.json").read_text(encoding="utf-8"))))
            model = str(out / "teacher")
        said = f"python benchmarks/one_shot.py MODEL --data {options.data} --task {task}"
        figures = {"task": task, "cells": cells}
        write_result(RESULTS / "one_shot" / f"{task}.json", figures, options.seed, options.threads, said)
    return 0


def command(options: argparse.Namespace, task: str, model: str, share: float, out: Path) -> list[str]:
    """Return one run's command line; its speeds are not what is asked here."""
    parts = [sys.executable, "-m", "leanformer", "compress", model, "--data", task, "--out", str(out)]
    parts += ["--data-dir", str(Path(options.data) / GLUE_FOLDERS[task]), "--method", "one-shot", "--resume"]
    parts += ["--macs-share", f"{share:g}", "--no-export", "--no-timing"]
    parts += ["--seed", str(options.seed), "--threads", str(options.threads)]
    return parts + (["--train-rows", str(TRAIN_ROWS[task])] if task in TRAIN_ROWS else [])


def kept(share: float, record: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run's record, and what pruning took."""
    stages = {stage["name"]: stage["seconds"] for stage in record["stages"]}
    return {
        "share": share,
        "seconds": stages["search and recovery"],
        **{key: record[key] for key in KEPT},
    }


if __name__ == "__main__":
    sys.exit(main())
