"""How long must the dense model train? The usual recipe at other numbers of epochs, judged on held-out rows of train.

    python benchmarks/dense_epochs.py MODEL --data DATA --name rotten-tomatoes

DATA is a folder or file, as for `leanformer compress --data`. Every number of epochs has its own schedule; the rows
that are not held out train, and accuracy (or the task's metric) and cross-entropy on the held-out ones are kept, so
that the default can be chosen without a look at validation. Two seeds, of head, order and dropout; the held-out rows
are the same.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from grid import RESULTS, SCRATCH, write_result
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict
from leanformer.tasks.split import split_held_out
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import fine_tune

EPOCHS = (2, 3)
SEEDS = (0, 1)


def main() -> int:
    """Train every number of epochs with every seed, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--data", required=True, help="a folder or file of the task's rows")
    parser.add_argument("--data-dir", help="a GLUE task's folder, where --data names the task")
    parser.add_argument("--train-rows", type=int)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--epochs", type=int, nargs="+", default=EPOCHS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = [figures_of(options, epochs, seed) for seed, epochs in product(SEEDS, options.epochs)]
    said = " ".join(["python", "benchmarks/dense_epochs.py", *sys.argv[1:]])
    figures = {"name": options.name, "seeds": SEEDS, "runs": runs}
    write_result(RESULTS / "dense_epochs" / f"{options.name}.json", figures, SEEDS[0], options.threads, said)
    return 0


def figures_of(options: argparse.Namespace, epochs: int, seed: int) -> dict[str, Any]:
    """Train one dense model and judge it on the held-out rows."""
    set_seed(seed)
    data = load_data(DataSpec(options.data, options.data_dir, train_rows=options.train_rows))
    model, tokenizer, _ = load_model(options.model, data.task, finetune=True)
    longest = longest_input(model, tokenizer, None)
    train, validation = (encode(rows, tokenizer, longest, True) for rows in (data.train, data.validation))
    train, held_out = split_held_out(train, validation, data.task, seed=0)
    usual = TrainingConfig.for_teacher(len(train), False, seed, model.config.hidden_size)
    scratch = SCRATCH / "dense_epochs" / f"{options.name}-{epochs}-{seed}"
    trained = fine_tune(
        model,
        tokenizer,
        data.task,
        train,
        replace(usual, epochs=epochs),
        scratch,
        f"{epochs} epochs, seed {seed}",
    )
    shutil.rmtree(scratch, ignore_errors=True)
    logits, labels = predict(model, held_out, tokenizer), np.asarray(held_out["label"][:])
    return {
        "epochs": epochs,
        "seed": seed,
        "rows": len(train),
        "n": len(held_out),
        "metric": data.task.metric,
        "score": score(data.task.metric, logits, labels),
        "cross_entropy": float(
            torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
        ),
        "seconds": trained.seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
