"""A base-size model: pruned and distilled where a GPU is, distilled on and timed where it is served.

    python benchmarks/base_size.py DENSE PRUNED --data ../shared/data/glue --task sst-2 --train-rows 30000 --name NAME

DENSE is fine-tuned, and PRUNED was made of it by `leanformer compress --no-export --no-timing` on a machine with a
GPU; `--trained` is that run's result.json. With `--longer N` PRUNED is distilled on here, N times the epochs of the
recipe, and what came out is timed beside it. All variants of all models take turns in one run; the ratio is over the
fastest plain variant of the dense model whose score fell by no more than a point, int8 included.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, SCRATCH, write_result
from leanformer.measure.statistics import bootstrap_ratio_interval
from side_by_side import SEED, benched

POINT = 0.01
ROW_KEYS = (
    *("model", "runtime", "precision", "form", "batch", "latency_ms", "latency_low", "latency_high"),
    *("rounds", "score", "size_mb"),
)
TRAINED_KEYS = (
    *("method", "metric", "n", "dense", "compressed", "drop_points", "drop_interval", "test"),
    *("pruning_ratio_reached", "command", "machine", "training", "quick"),
)


def main() -> int:
    """Distil on where it is asked for, time, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path)
    parser.add_argument("pruned", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", required=True, choices=GLUE_FOLDERS)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--trained", type=Path, help="result.json of the run that made PRUNED")
    parser.add_argument("--train-rows", type=int)
    parser.add_argument("--longer", type=int, default=0, help="times the recipe's epochs")
    parser.add_argument("--no-timing", action="store_true", help="distil on alone")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--limit", type=float, default=240.0, help="seconds of timing")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    models = {"dense": options.dense, "pruned": options.pruned}
    if options.longer:
        models["longer"] = SCRATCH / "base-size" / options.name
        distil_on(options, models["longer"])
    if options.no_timing:
        return 0
    folder = options.data / GLUE_FOLDERS[options.task]
    arguments = ["--data", options.task, "--data-dir", str(folder), "--first-token"]
    arguments += ["--batch", str(options.batch), "--threads", str(options.threads)]
    rows = benched(models, arguments, options.limit)
    run = json.loads(options.trained.read_text(encoding="utf-8")) if options.trained else {}
    figures = {
        "name": options.name,
        "task": options.task,
        "longer": options.longer,
        "trained": {key: run[key] for key in TRAINED_KEYS if key in run},
        "rows": [{key: row[key] for key in ROW_KEYS} for row in rows],
        "best": [best_of(rows, model) for model in models if model != "dense"],
    }
    said = " ".join(["python", "benchmarks/base_size.py", "DENSE", "PRUNED", *sys.argv[3:]])
    write_result(RESULTS / "base_size" / f"{options.name}.json", figures, SEED, options.threads, said)
    return 0


def distil_on(options: argparse.Namespace, out: Path) -> None:
    """Distil the pruned model on, and save it; one that is there stays."""
    from glue_problem import glue_problem
    from leanformer.encoders.saving import save_model
    from leanformer.encoders.view import EncoderView
    from leanformer.methods.steps import recovered
    from leanformer.tasks.heads import load_model
    from leanformer.training.threads import use_threads

    if (out / "config.json").is_file():
        return
    use_threads(options.threads)
    home = out.with_name(f"{options.name}-training")
    problem = glue_problem(options.dense, options.data, options.task, options.train_rows, home)
    small, _, _ = load_model(str(options.pruned), problem.task, finetune=False)
    if EncoderView(small).n_layers != EncoderView(problem.teacher).n_layers:
        sys.exit("a layer is gone: which hidden states belong together is not known")
    found = recovered(replace(problem, resume=True, quick=True), small, {}, longer=options.longer)
    save_model(found.model, problem.tokenizer, out)


def best_of(rows: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    """Return a model's fastest variant over the dense model's fastest plain one, the same rounds paired.

    Variants whose score lies more than a point under their own model's in PyTorch fp32 are left out.
    """
    plain = fastest([row for row in rows if row["model"] == "dense" and not row["form"]])
    own = fastest([row for row in rows if row["model"] == model])
    torch = next(row for row in rows if row["model"] == "dense" and is_torch(row))
    ratio, low, high = bootstrap_ratio_interval(plain["rounds_ms"], own["rounds_ms"], SEED)
    over_torch, *_ = bootstrap_ratio_interval(torch["rounds_ms"], own["rounds_ms"], SEED)
    return {
        "model": model,
        "variant": variant(own),
        "plain": variant(plain),
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "over_torch": over_torch,
        "score": own["score"],
        "dense_score": torch["score"],
        "drop_points": 100 * (torch["score"] - own["score"]),
    }


def fastest(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the fastest variant of a model that keeps its score."""
    least = next(row["score"] for row in rows if is_torch(row)) - POINT
    return min((row for row in rows if row["score"] >= least), key=lambda row: float(row["latency_ms"]))


def is_torch(row: Mapping[str, Any]) -> bool:
    """Whether a row is of PyTorch in fp32, plain."""
    return row["runtime"] == "torch" and row["precision"] == "fp32" and not row["form"]


def variant(row: Mapping[str, Any]) -> str:
    """Return a variant's name."""
    return " ".join(filter(None, (row["runtime"], row["precision"], row["form"])))


if __name__ == "__main__":
    sys.exit(main())
