"""What is the clock worth? MiniLM against an identical copy of itself: the ratio should be 1.00, within its interval.

    python benchmarks/clock_noise.py

needs the extra `demo`. Each repeat is a bench as a user runs it, with both models loaded anew: an unlucky place in
memory is part of the noise. The head is not trained: what a call costs does not depend on the weights.
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
from leanformer.tasks.encode import encode, model_max_tokens
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data

REPEATS = 10
NAMES = ("model", "copy")


def repeat(folder: Path, rounds: int, limit_s: float, threads: int, seed: int) -> list[BenchRow]:
    """Return the rows of the copy, one a batch size."""
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
        variants={name: [(*BASELINE, PLAIN)] for name in NAMES},
    )
    return [row for row in rows if row.model == "copy"]


def repeats_of(rounds: int, limit_s: float, threads: int) -> dict[str, list[dict[str, Any]]]:
    """Return, by batch size, what each repeat found."""
    found: dict[str, list[dict[str, Any]]] = {str(batch): [] for batch in BATCHES}
    for seed in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            write_rotten_tomatoes(Path(folder), quick=True)
            for row in repeat(Path(folder), rounds, limit_s, threads, seed):
                figures = {"ratio": row.ratio, "low": row.ratio_low, "high": row.ratio_high}
                settled = {"rounds": row.rounds, "settled": row.settled}
                inside = row.ratio_low <= 1.0 <= row.ratio_high
                found[str(row.batch)].append({**figures, **settled, "one_is_inside": inside})
                print(f"repeat {seed}, batch {row.batch}: {found[str(row.batch)][-1]}", flush=True)
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
        batch: {
            "one_is_inside": sum(one["one_is_inside"] for one in ones),
            "settled": sum(one["settled"] for one in ones),
            "ratio_least": min(one["ratio"] for one in ones),
            "ratio_most": max(one["ratio"] for one in ones),
        }
        for batch, ones in found.items()
    }
    figures = {"repeats": REPEATS, "rounds": given.rounds, "limit_s": given.limit, "summary": summary}
    options = f"--rounds {given.rounds} --limit {given.limit:g} --threads {given.threads}"
    command = f"python benchmarks/clock_noise.py {options}"
    write_result(RESULTS / "clock_noise.json", {**figures, "by_batch": found}, 0, given.threads, command)
    print(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
