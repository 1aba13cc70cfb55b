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
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = ROOT / ".bench"


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
    """Return the commit that the figures belong to."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def run_cells(script: str, names: Sequence[str], arguments: Sequence[str], workers: int, threads: int) -> int:
    """Run each cell in a process of its own; return how many failed.

    A cell's output goes to `.bench/logs/NAME.log`; a failed cell is said and the next one starts.
    """
    logs = SCRATCH / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "LEANFORMER_QUIET": "1",
        "HF_HUB_OFFLINE": "1",
    }

    def run(name: str) -> int:
        started = time.time()
        with (logs / f"{name}.log").open("w", encoding="utf-8") as log:
            command = [sys.executable, script, "--cell", name, *arguments]
            code = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False
            ).returncode
        print(
            f"{name}: {'done' if code == 0 else f'FAILED, see {log.name}'} in {time.time() - started:.0f} s",
            flush=True,
        )
        return int(code != 0)

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(run, names))
