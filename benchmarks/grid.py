"""A grid of cells that runs cell by cell in worker processes, skips what is finished, and keeps one JSON a cell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# A cell on another machine writes where it is told to; what it found travels back.
RESULTS = Path(os.environ.get("LEANFORMER_BENCH_RESULTS", ROOT / "benchmarks" / "results"))
GLUE_FOLDERS = {"mrpc": "MRPC", "sst-2": "SST-2"}
"""The tasks of the benches in GLUE layout, below the folder that --data names."""

TRAIN_ROWS = {"sst-2": 10_000}
"""Tasks of which only the first rows train."""

SCRATCH = Path(os.environ.get("LEANFORMER_BENCH_SCRATCH", ROOT / ".bench"))


def write_result(path: Path, figures: dict[str, Any], seed: int, threads: int, command: str) -> None:
    """Write a cell's figures with all that is needed to repeat them; whole or not at all."""
    from leanformer.measure.machine import machine

    facts = {"command": command, "commit": commit(), "seed": seed, "machine": machine(threads), **figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def processor(name: str | None = None) -> str:
    """Return a folder's name for a processor, for example "intel-xeon": teachers of two differ in their rounding.

    A seed gives the same model on one kind of processor only, so that rows are compared within one.

    Args:
        name: The vendor's name for it; this machine's by default.

    Returns:
        Letters, digits and dashes.
    """
    from leanformer.export.cpu import cpu

    words = re.sub(r"\((r|tm)\)|processor|cpu|@.*", " ", (name or cpu().name).lower())
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "unknown"


def commit() -> str:
    """Return the commit that the figures belong to; a machine that got the files alone is told."""
    if told := os.environ.get("LEANFORMER_BENCH_COMMIT"):
        return told
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def log_of(name: str) -> Path:
    """Return the file that receives a cell's output."""
    (SCRATCH / "logs").mkdir(parents=True, exist_ok=True)
    return SCRATCH / "logs" / f"{name}.log"


def cell_command(script: str, name: str, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs one cell."""
    return [sys.executable, script, "--cell", name, *arguments]


def cell_environment(threads: int) -> dict[str, str]:
    """Return a cell's environment."""
    quiet = {"OMP_NUM_THREADS": str(threads), "LEANFORMER_QUIET": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet}


def say_done(name: str, code: int, seconds: float) -> int:
    """Say how a cell ended; return 1 if it failed."""
    print(
        f"{name}: {'done' if code == 0 else f'FAILED, see {log_of(name)}'} in {seconds:.0f} s",
        flush=True,
    )
    return int(code != 0)


def run_cells(script: str, names: Sequence[str], arguments: Sequence[str], workers: int, threads: int) -> int:
    """Run each cell in a process of its own; return how many failed.

    A cell's output goes to `.bench/logs/NAME.log`; a failed cell is said and the next one starts.
    """

    def run(name: str) -> int:
        started = time.time()
        with log_of(name).open("w", encoding="utf-8") as log:
            code = subprocess.run(
                cell_command(script, name, arguments),
                cwd=ROOT,
                env=cell_environment(threads),
                stdout=log,
                stderr=log,
                check=False,
            ).returncode
        return say_done(name, code, time.time() - started)

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(run, names))
