"""What does one cheap evaluation cost? MiniLM, 512 Rotten Tomatoes sentences, each evaluation of the ladder.

    python benchmarks/evaluation_cost.py

needs the extra `demo`. The head is not trained: what an evaluation costs does not depend on the weights.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from grid import RESULTS, write_result
from leanformer.budget import Budget
from leanformer.demo import TASK, model_folder, write_rotten_tomatoes
from leanformer.methods.ae_bert import prepare
from leanformer.methods.problem import Problem
from leanformer.search.evaluate import FIDELITIES
from leanformer.tasks.encode import encode, model_max_tokens
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, hold_out, load_data

SENTENCES = 512
CANDIDATES = 7
RATIOS = (0.5, 0.8)


def problem_in(folder: Path, ratio: float) -> Problem:
    """Return the demo's problem, with 512 sentences held out."""
    write_rotten_tomatoes(folder, quick=False)
    data = load_data(DataSpec(source=str(folder / TASK)))
    model, tokenizer, _ = load_model(str(model_folder()), data.task, finetune=False)
    rows = encode(data.train, tokenizer, model_max_tokens(model, tokenizer), truncate=True)
    train, held_out = hold_out(rows, data.task, SENTENCES, seed=0)
    return Problem(
        teacher=model.eval(),
        tokenizer=tokenizer,
        task=data.task,
        train=train,
        held_out=held_out,
        budget=Budget(ratio),
        granularity="unit",
        seed=0,
        folder=folder,
        resume=False,
    )


def seconds_of(ratio: float) -> dict[str, float]:
    """Return the median seconds of each evaluation over random candidates."""
    with tempfile.TemporaryDirectory() as folder:
        judge, _ = prepare(problem_in(Path(folder), ratio))
        judge.dense_logits()  # once a search
        generator = np.random.default_rng(0)
        pool = [judge.realiser.space.random(generator) for _ in range(CANDIDATES)]
        medians = {}
        for fidelity in FIDELITIES:
            spent = []
            for candidate in pool:
                started = time.perf_counter()
                judge.measure(candidate, fidelity, SENTENCES)
                spent.append(time.perf_counter() - started)
            medians[fidelity] = statistics.median(spent[1:])  # the first one warms up
        return medians


def main() -> int:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    figures = {
        "sentences": SENTENCES,
        "candidates": CANDIDATES - 1,
        "seconds": {f"{ratio:g}": seconds_of(ratio) for ratio in RATIOS},
    }
    command = f"python benchmarks/evaluation_cost.py --threads {threads}"
    write_result(RESULTS / "evaluation_cost.json", figures, 0, threads, command)
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
