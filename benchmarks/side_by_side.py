"""Models of one dense model: each compressed by a run of its own, then all timed in one run, in every runtime."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leanformer.measure.statistics import bootstrap_ratio_interval

DENSE, SEED = "dense", 0
RUN_KEYS = ("method", "metric", "n", "drop_points", "drop_interval", "pruning_ratio_reached")
ROW_KEYS = (
    "model",
    "runtime",
    "precision",
    "batch",
    "latency_ms",
    "latency_low",
    "latency_high",
    "rounds",
    "score",
)


def compressed(model: str | Path, out: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Compress a model, or go on with it, and return what is kept of the record; nothing is exported nor timed."""
    command = [sys.executable, "-m", "leanformer", "compress", str(model), "--out", str(out), *arguments]
    subprocess.run([*command, "--seed", str(SEED), "--resume", "--no-export", "--no-timing"], check=False)
    record = json.loads((out / "result.json").read_text(encoding="utf-8"))
    scores = {key: record[key]["score"] for key in ("dense", "compressed")}
    return {**{key: record[key] for key in RUN_KEYS}, **scores}


def timed(models: Mapping[str, Path], arguments: Sequence[str], limit_s: float) -> list[dict[str, Any]]:
    """Time all models side by side; each row has its speed-up over the first one in its runtime and precision."""
    rows = benched(models, arguments, limit_s)
    first = next(iter(models))
    baselines = {served_in(row): row["rounds_ms"] for row in rows if row["model"] == first}
    return [
        {key: row[key] for key in ROW_KEYS} | over_first(row["rounds_ms"], baselines[served_in(row)])
        for row in rows
    ]


def benched(models: Mapping[str, Path], arguments: Sequence[str], limit_s: float) -> list[dict[str, Any]]:
    """Return what `leanformer bench` says of each variant of all models, which take turns in one run."""
    with tempfile.TemporaryDirectory() as scratch:
        links = [
            Path(scratch) / name for name in models
        ]  # leanformer bench calls a model as its folder is called
        for link, path in zip(links, models.values(), strict=True):
            link.symlink_to(path.resolve())
        command = [sys.executable, "-m", "leanformer", "bench", *map(str, links), *arguments]
        command += ["--limit", f"{limit_s:g}", "--no-memory", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(f"nothing was timed: leanformer bench ended with exit code {done.returncode}")
    return list(json.loads(done.stdout)["rows"])


def served_in(row: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return runtime, precision and batch size of a row."""
    return row["runtime"], row["precision"], row["batch"]


def over_first(rounds_ms: Sequence[float], first_ms: Sequence[float]) -> dict[str, float]:
    """Return the speed-up over the first model with its 95% interval, the same rounds paired."""
    ratio, low, high = bootstrap_ratio_interval(first_ms, rounds_ms, SEED)
    return {"ratio": ratio, "ratio_low": low, "ratio_high": high}
