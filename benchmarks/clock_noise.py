"""What is the clock worth? MiniLM against an identical copy of itself: the ratio should be 1.00, within its interval.

    python benchmarks/clock_noise.py

needs the extra `demo`. Each repeat is a bench as a user runs it, with PyTorch, ONNX Runtime and OpenVINO in it, and
both models loaded anew: an unlucky place in memory is part of the noise, and so are threads of other runtimes. The
head is not trained: what a call costs does not depend on the weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from grid import RESULTS, write_result
from leanformer.demo import TASK, model_folder, write_rotten_tomatoes
from leanformer.encoders.forms import PLAIN
from leanformer.encoders.saving import save_model
from leanformer.measure.bench import BASELINE, BATCHES, LIMIT_S, ROUNDS, BenchRow, bench
from leanformer.measure.statistics import bootstrap_ratio_interval, is_settled
from leanformer.tasks.encode import encode, model_max_tokens
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data

REPEATS = 6
NAMES = ("model", "copy")
VARIANTS = [(*BASELINE, PLAIN), ("onnxruntime", "fp32", PLAIN), ("openvino", "fp32", PLAIN)]


def repeat(
    folder: Path, rounds: int, limit_s: float, threads: int, seed: int
) -> list[tuple[BenchRow, BenchRow]]:
    """Return the rows of model and copy, one a batch size and runtime."""
    data = load_data(DataSpec(source=str(folder / TASK)))
    model, tokenizer, _ = load_model(str(model_folder()), data.task, finetune=False)
    for name in NAMES:
        save_model(model, tokenizer, folder / name)
    rows = bench(
        {name: folder / name for name in NAMES},
        encode(data.validation, tokenizer, model_max_tokens(model, tokenizer), truncate=True),
        tokenizer,
        data.task,
        batches=BATCHES,
        threads=threads,
        rounds=rounds,
        seed=seed,
        limit_s=limit_s,
        variants={name: VARIANTS for name in NAMES},
    )
    every = {(row.model, row.runtime, row.batch): row for row in rows}
    return [(every["model", *key], row) for (name, *key), row in every.items() if name == "copy"]


def repeats_of(rounds: int, limit_s: float, threads: int) -> dict[str, list[dict[str, Any]]]:
    """Return, by runtime and batch size, what each repeat found."""
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            write_rotten_tomatoes(Path(folder), quick=True)
            for model, row in repeat(Path(folder), rounds, limit_s, threads, seed):
                ratio, low, high = bootstrap_ratio_interval(model.rounds_ms, row.rounds_ms, seed)
                settled = {"rounds": row.rounds, "settled": is_settled(ratio, low, high)}
                name = f"{row.runtime} {row.precision}, batch {row.batch}"
                one = {
                    "ratio": ratio,
                    "low": low,
                    "high": high,
                    **settled,
                    "one_is_inside": low <= 1.0 <= high,
                }
                found.setdefault(name, []).append(one)
                print(f"repeat {seed}, {name}: {one}", flush=True)
    return found


def main() -> int:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--limit", type=float, default=LIMIT_S)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    found = repeats_of(given.rounds, given.limit, given.threads)
    summary = {
        name: {
            "one_is_inside": sum(one["one_is_inside"] for one in ones),
            "settled": sum(one["settled"] for one in ones),
            "ratio_least": min(one["ratio"] for one in ones),
            "ratio_most": max(one["ratio"] for one in ones),
        }
        for name, ones in found.items()
    }
    figures = {"repeats": REPEATS, "rounds": given.rounds, "limit_s": given.limit, "summary": summary}
    options = f"--rounds {given.rounds} --limit {given.limit:g} --threads {given.threads}"
    command = f"python benchmarks/clock_noise.py {options}"
    write_result(RESULTS / "clock_noise.json", {**figures, "by_variant": found}, 0, given.threads, command)
    print(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
