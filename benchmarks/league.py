"""Which method, on a real model? All of them under one budget, on one machine: `leanformer league` on named tasks.

    python benchmarks/league.py ../shared/models/minilm-mlm --data ../shared/data/glue --task mrpc

MODEL is a folder without a task head. A league goes on where it stopped: it is always called with --resume. Its
league.json is kept as benchmarks/results/league/MODEL-TASK-RATIO.json, of which benchmarks/tables.py makes the table
in docs/league.md. The curves of docs/dynamic.md are small leagues at several ratios:

    python benchmarks/league.py MODEL --data ../shared/data/glue --into dynamic --pruning-ratio 0.7
    python benchmarks/league.py MODEL --data ../shared/data/glue --into dynamic --pruning-ratio 0.3 --trained-at 0.7
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, SCRATCH, TRAIN_ROWS, write_result

METHODS: dict[str, tuple[str, ...]] = {
    "league": (),  # all
    "dynamic": (
        "drop-layers",
        "power-bert",
        "tr-bert",
        "length-adaptive",
        "fastbert",
        "patience",
        "learned-exit",
    ),
}
OWN = (
    "command",
    "machine",
    "model",
    "out",
)  # `write_result` says them of the benchmark; paths are this machine's


def main() -> int:
    """Play a league a task, and write one JSON each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder without a task head")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", action="append", choices=GLUE_FOLDERS, help="by default all of them")
    parser.add_argument("--method", action="append", default=[], help="by default every method of --into")
    parser.add_argument("--into", choices=METHODS, default="league", help="folder of the results")
    parser.add_argument("--pruning-ratio", type=float, default=0.5)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-timing", action="store_true", help="scores alone, for a machine with a GPU")
    parser.add_argument("--lanes", type=int, default=1, help="cells that run side by side")
    parser.add_argument("--trained-at", type=float, help="take over what was trained at this ratio")
    parser.add_argument("--limit", type=float, help="seconds of timing a batch size; by default 30 a model")
    options = parser.parse_args()
    for task in options.task or GLUE_FOLDERS:
        name = name_of(options, task, options.pruning_ratio)
        out = SCRATCH / options.into / name
        done = subprocess.run([*command(options, task), "--out", str(out), "--resume"], check=False)
        if done.returncode:
            print(f"{name}: no league, exit code {done.returncode}", file=sys.stderr)
            return 1
        figures = kept(json.loads((out / "league.json").read_text(encoding="utf-8")), options.model)
        said = " ".join(["python", "benchmarks/league.py", *sys.argv[1:]])
        first_seed = int(options.seeds.split(",")[0])
        write_result(RESULTS / options.into / f"{name}.json", figures, first_seed, options.threads, said)
    return 0


def name_of(options: argparse.Namespace, task: str, ratio: float) -> str:
    """Return what a league's folder and its JSON are called."""
    name = f"{Path(options.model).name}-{task}-{ratio:g}"
    return f"{name}-scores" if options.no_timing else name


def command(options: argparse.Namespace, task: str) -> list[str]:
    """Return a league's command line, without its folder."""
    parts = [sys.executable, "-m", "leanformer", "league", options.model, "--data", task]
    parts += ["--data-dir", str(Path(options.data) / GLUE_FOLDERS[task])]
    parts += ["--pruning-ratio", f"{options.pruning_ratio:g}", "--seeds", options.seeds]
    parts += ["--threads", str(options.threads), "--lanes", str(options.lanes)]
    parts += ["--no-timing"] if options.no_timing else []
    if options.trained_at is not None:
        parts += ["--trained", str(SCRATCH / options.into / name_of(options, task, options.trained_at))]
    parts += [] if options.limit is None else ["--limit", f"{options.limit:g}"]
    for name in options.method or METHODS[options.into]:
        parts += ["--method", name]
    return parts + (["--train-rows", str(TRAIN_ROWS[task])] if task in TRAIN_ROWS else [])


def kept(record: dict[str, Any], model: str) -> dict[str, Any]:
    """Return what is kept of a league's record."""
    return {"model": Path(model).name, **{key: value for key, value in record.items() if key not in OWN}}


if __name__ == "__main__":
    sys.exit(main())
