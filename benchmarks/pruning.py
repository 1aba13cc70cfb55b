"""Each pruning system, asked its own question on a real model.

    python benchmarks/pruning.py --minilm MODEL --e5 ../shared/models/e5-small --data ../shared/data/glue

MODEL is a folder without a task head (MiniLM). A cell is one `leanformer compress`; cells of the same model and task
prune the same dense model, which the first of them fine-tunes. Scores are of validation rows, and of test rows where
they have labels: nothing was chosen on either. Speeds are not what is asked here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, SCRATCH, TRAIN_ROWS, write_result

KEPT = (
    *(
        "n",
        "method",
        "granularity",
        "dense",
        "compressed",
        "drop_points",
        "drop_interval",
        "test",
        "flips_total",
    ),
    *("pruning_ratio_reached", "macs_share", "layers", "heads", "attack", "search", "training"),
)


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        model: "minilm" or "e5".
        task: A GLUE task.
        arguments: What `leanformer compress` is given beside model and data.
    """

    model: str
    task: str
    arguments: tuple[str, ...]


CELLS = {
    "taylor-heads": Cell("e5", "mrpc", ("--method", "taylor-heads", "--max-drop", "1")),
    "l0-heads": Cell("e5", "mrpc", ("--method", "l0-heads", "--pruning-ratio", "0.4")),
    "astar-heads": Cell(
        "e5", "mrpc", ("--method", "astar-heads", "--max-drop", "0.5", "--option", "expansions=12")
    ),
    "accuracy-driven-mrpc": Cell("minilm", "mrpc", ("--method", "accuracy-driven")),
    "accuracy-driven-sst-2": Cell("minilm", "sst-2", ("--method", "accuracy-driven")),
    "grain-mrpc": Cell("minilm", "mrpc", ("--method", "grain", "--pruning-ratio", "0.7")),
    "movement-mrpc": Cell("minilm", "mrpc", ("--method", "movement", "--pruning-ratio", "0.7")),
    "movement-hybrid-mrpc": Cell(
        "minilm",
        "mrpc",
        ("--method", "movement", "--granularity", "hybrid", "--pruning-ratio", "0.7"),
    ),
    "grain-sst-2": Cell("minilm", "sst-2", ("--method", "grain", "--pruning-ratio", "0.7")),
    "movement-sst-2": Cell("minilm", "sst-2", ("--method", "movement", "--pruning-ratio", "0.7")),
    "robust-tickets": Cell("minilm", "sst-2", ("--method", "robust-tickets", "--pruning-ratio", "0.3")),
}


def main() -> int:
    """Run the cells that are asked for, and write one JSON each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minilm", help="a model folder without a task head")
    parser.add_argument("--e5", help="e5-small's folder")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--cell", action="append", choices=CELLS, help="all of them by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    failed = 0
    for name in options.cell or CELLS:
        cell = CELLS[name]
        if (model := getattr(options, cell.model)) is None:
            parser.error(f"{name} needs --{cell.model}")
        shared = SCRATCH / "pruning" / f"{cell.model}-{cell.task}-{options.seed}"
        out = SCRATCH / "pruning" / f"{name}-{options.seed}"
        done = subprocess.run(command(options, cell, dense(shared, model), out), check=False)
        if not (out / "result.json").is_file():
            print(f"{name}: no result, exit code {done.returncode}", file=sys.stderr)
            failed += 1
            continue
        if not shared.exists():
            shared.symlink_to(out / "teacher")
        record = json.loads((out / "result.json").read_text(encoding="utf-8"))
        said = f"python benchmarks/pruning.py --{cell.model} MODEL --data {options.data} --cell {name}"
        figures = {"cell": name, "model": cell.model, "task": cell.task, **kept(record)}
        write_result(RESULTS / "pruning" / f"{name}.json", figures, options.seed, options.threads, said)
    return min(1, failed)


def dense(shared: Path, model: str) -> str:
    """Return the dense model that earlier cells have fine-tuned, or the model that the first one is to fine-tune."""
    return str(shared.resolve()) if shared.exists() else model


def command(options: argparse.Namespace, cell: Cell, model: str, out: Path) -> list[str]:
    """Return one run's command line."""
    parts = [sys.executable, "-m", "leanformer", "compress", model, "--data", cell.task, "--out", str(out)]
    parts += ["--data-dir", str(Path(options.data) / GLUE_FOLDERS[cell.task]), *cell.arguments]
    parts += ["--resume", "--no-export", "--no-timing"]
    parts += ["--seed", str(options.seed), "--threads", str(options.threads)]
    return parts + (["--train-rows", str(TRAIN_ROWS[cell.task])] if cell.task in TRAIN_ROWS else [])


def kept(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run's record, and what the method took."""
    stages = {stage["name"]: stage["seconds"] for stage in record["stages"]}
    return {
        "seconds": stages["search and recovery"],
        **{key: record[key] for key in KEPT if key in record},
    }


if __name__ == "__main__":
    sys.exit(main())
