"""What does auto find? The fastest model within a point of the dense one, against the best that is free without us.

    python benchmarks/auto.py MODEL --data ../shared/data/glue --task sst-2 --batch 8 --train-rows 10000

MODEL is a folder with or without a task head. Runs `leanformer compress --max-drop 1` (method auto), which climbs as
far as it may, or with --speedup until a step is so much faster than the dense model in PyTorch. It keeps the
ladder with the cost of each rung, the chosen step, scores of both models on validation and test rows, which nothing
was chosen on, and the ratio over the best plain variant of the dense model, int8 included, at batch 1 and 8.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from grid import RESULTS, SCRATCH, write_result

FOLDERS = {"mrpc": "MRPC", "sst-2": "SST-2", "sts-b": "STS-B"}
KEPT = (
    *("method", "task", "metric", "n", "seed", "pruning_ratio_reached", "dense", "compressed", "drop_points"),
    *("drop_interval", "test", "speedup", "gain", "serve", "ladder", "budget"),
)


def main() -> int:
    """Run, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder; with a task head it is used as it is")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", required=True, choices=FOLDERS)
    parser.add_argument("--name", help="of the result; by default of model, task and batch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--train-rows", type=int)
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--speedup", type=float, help="over the dense model in PyTorch: the climb ends there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    name = options.name or f"{Path(options.model).name}-{options.task}-batch{options.batch}"
    out = SCRATCH / "auto" / name
    done = subprocess.run(
        [*command(options), "--out", str(out), "--resume", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if not (out / "result.json").is_file():
        print(f"{name}: no result, exit code {done.returncode}", file=sys.stderr)
        return 1
    figures = kept(json.loads((out / "result.json").read_text(encoding="utf-8")))
    figures["name"] = name
    figures["wall_s"] = round(sum(figures["stage_seconds"].values()), 1)  # of all parts of a resumed run
    figures["exit_code"] = done.returncode
    said = " ".join(["python", "benchmarks/auto.py", *sys.argv[1:]])
    write_result(RESULTS / "auto" / f"{name}.json", figures, options.seed, options.threads, said)
    return 0


def command(options: argparse.Namespace) -> list[str]:
    """Return the run's command line, without its folder."""
    parts = [sys.executable, "-m", "leanformer", "compress", options.model, "--data", options.task]
    parts += ["--data-dir", str(Path(options.data) / FOLDERS[options.task])]
    parts += ["--max-drop", f"{options.max_drop:g}", "--target-batch", str(options.batch)]
    parts += ["--seed", str(options.seed), "--threads", str(options.threads)]
    parts += [] if options.train_rows is None else ["--train-rows", str(options.train_rows)]
    return parts if options.speedup is None else [*parts, "--speedup", f"{options.speedup:g}"]


def kept(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run's record, with the cost of its stages."""
    stages = {stage["name"]: stage["seconds"] for stage in record["stages"]}
    facts = {key: record.get(key) for key in KEPT}
    over = over_plain(record)
    return {
        **facts,
        "served_drop_points": served_drop_points(record),
        "over_plain": over,
        "stage_seconds": stages,
    }


def over_plain(record: dict[str, Any]) -> dict[str, Any]:
    """Return how much faster the served variant is than the fastest that is free without us: no exact form.

    A ratio of medians of the same rounds, at the batch size that was asked for; a dense variant whose score fell by
    more than a point is none.
    """
    batch, least = record["ladder"]["batch"], record["dense"]["score"] - 0.01
    rows = [one for one in record["bench"] if one["batch"] == batch]
    plain = [one for one in rows if one["model"] == "dense" and not one["form"] and one["score"] >= least]
    best = min(plain, key=lambda one: float(one["latency_ms"]))
    (own,) = [one for one in rows if one["model"] == "compressed" and is_served(one, record["serve"])]
    return {
        "variant": f"{best['runtime']} {best['precision']}",
        "ratio": best["latency_ms"] / own["latency_ms"],
    }


def is_served(row: dict[str, Any], serve: dict[str, Any]) -> bool:
    """Whether a row of the speed table is of the variant that is served."""
    return all(row[key] == value for key, value in serve.items())


def served_drop_points(record: dict[str, Any]) -> float:
    """Return the points of validation score that the served variant lies under the dense model in PyTorch fp32."""
    serve, batch = record["serve"], record["ladder"]["batch"]
    wanted = {**serve, "model": "compressed", "batch": batch}
    (row,) = [one for one in record["bench"] if all(one[key] == value for key, value in wanted.items())]
    return float(100 * (record["dense"]["score"] - row["score"]))


if __name__ == "__main__":
    sys.exit(main())
