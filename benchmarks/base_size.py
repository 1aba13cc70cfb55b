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
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, SCRATCH, write_result
from leanformer.measure.statistics import bootstrap_ratio_interval

SEED = 0
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
    rows = timed(models, options)
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
    from leanformer.budget import Budget
    from leanformer.encoders.saving import save_model
    from leanformer.encoders.view import EncoderView
    from leanformer.methods.problem import Problem
    from leanformer.methods.steps import recovered
    from leanformer.tasks.encode import encode, longest_input
    from leanformer.tasks.heads import load_model
    from leanformer.tasks.load import load_data
    from leanformer.tasks.split import split_held_out
    from leanformer.training.threads import use_threads

    if (out / "config.json").is_file():
        return
    use_threads(options.threads)
    data = load_data(data_spec(options))
    dense, tokenizer, _ = load_model(str(options.dense), data.task, finetune=False)
    small, _, _ = load_model(str(options.pruned), data.task, finetune=False)
    if EncoderView(small).n_layers != EncoderView(dense).n_layers:
        sys.exit("a layer is gone: which hidden states belong together is not known")
    longest = longest_input(dense, tokenizer, None)
    rows, validation = (encode(some, tokenizer, longest, False) for some in (data.train, data.validation))
    train, held_out = split_held_out(rows, validation, data.task, SEED)
    home = SCRATCH / "base-size" / f"{options.name}-training"
    home.mkdir(parents=True, exist_ok=True)
    problem = Problem(
        dense, tokenizer, data.task, train, held_out, Budget(0.5), "unit", SEED, home, True, quick=True
    )
    found = recovered(problem, small, {}, longer=options.longer)
    save_model(found.model, tokenizer, out)


def data_spec(options: argparse.Namespace) -> Any:
    """Return the task's rows, as `leanformer compress` takes them."""
    from leanformer.tasks.load import DataSpec

    folder = options.data / GLUE_FOLDERS[options.task]
    return DataSpec(source=options.task, data_dir=str(folder), train_rows=options.train_rows)


def timed(models: Mapping[str, Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time every variant of every model side by side, plain and with the last layer for the first token only."""
    with tempfile.TemporaryDirectory() as scratch:
        links = [Path(scratch) / name for name in models]  # leanformer bench calls a model as its folder is
        for link, path in zip(links, models.values(), strict=True):
            link.symlink_to(path.resolve())
        command = [sys.executable, "-m", "leanformer", "bench", *map(str, links), "--data", options.task]
        command += ["--data-dir", str(options.data / GLUE_FOLDERS[options.task]), "--first-token"]
        command += ["--batch", str(options.batch), "--limit", f"{options.limit:g}", "--no-memory", "--json"]
        command += ["--threads", str(options.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(f"nothing was timed: leanformer bench ended with exit code {done.returncode}")
    return list(json.loads(done.stdout)["rows"])


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
