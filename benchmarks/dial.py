"""How far does the dial of early exits reach? Score and speed at each setting, by the clock, in both runtimes.

    python benchmarks/dial.py MODEL --data sst-2 --data-dir ../shared/data/glue/SST-2 --train-rows 10000
    python benchmarks/dial.py MODEL --topics fortunes/usr/share/games/fortunes

MODEL is a folder without a task head. The second form makes a topic task of the Debian package "fortunes": texts of
six of its files, the file's name is the topic. One `leanformer compress` trains the exits; then the dial is turned on
the exported cascade. Scores are of all validation rows, on which no dial was set; speeds are over the dense model in
the same runtime, all settings taking turns in one run.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grid import RESULTS, SCRATCH, write_result
from leanformer.export.layout import artefact
from leanformer.export.runtimes import arrays, load_runner
from leanformer.export.variants import ensure_artefact
from leanformer.measure.clock import interleave
from leanformer.measure.samples import sample_batches
from leanformer.measure.statistics import bootstrap_ratio_interval
from leanformer.run import Run
from leanformer.runtime.cascade import Cascade
from leanformer.tasks.encode import batches, encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import load_data

TOPICS = ("computers", "men-women", "politics", "science", "songs-poems", "work")
VALIDATION_ROWS = 1000
SETTINGS = {
    "fastbert": (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99),
    "patience": (6, 5, 4, 3, 2, 1),
    "learned-exit": (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
}
SIZES = (1, 8)
ROUNDS, LIMIT_S, SEED = 10, 60.0, 0
Answer = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def main() -> int:
    """Train, turn the dial, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--data", help="a task, as leanformer takes it")
    parser.add_argument("--data-dir", help="folder of a GLUE task")
    parser.add_argument("--topics", type=Path, help="folder with the files of fortunes")
    parser.add_argument("--train-rows", type=int)
    parser.add_argument("--method", choices=SETTINGS, default="fastbert")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.topics:
        options.data = str(topic_data(options.topics))
    name = f"{'topics' if options.topics else options.data}-{options.method}"
    run = trained(options, SCRATCH / "dial" / name)
    record = json.loads((run / "result.json").read_text(encoding="utf-8"))
    rows = [row for runtime in ("onnxruntime", "openvino") for row in turned(options, run, runtime)]
    figures = {
        **{key: record[key] for key in ("n", "metric", "dense", "exits")},
        "name": name,
        "rows": rows,
    }
    said = " ".join(["python", "benchmarks/dial.py", *sys.argv[1:]])
    write_result(RESULTS / "dial" / f"{name}.json", figures, SEED, options.threads, said)
    return 0


def topic_data(files: Path) -> Path:
    """Write the topic task as train and validation csv, always the same rows."""
    folder = SCRATCH / "dial" / "topics"
    if folder.is_dir():
        return folder
    found = []
    for topic in TOPICS:
        texts = (files / topic).read_text(encoding="utf-8", errors="replace").split("\n%\n")
        found += [(" ".join(text.split()), topic) for text in texts if text.strip()]
    random.Random(SEED).shuffle(found)
    folder.mkdir(parents=True)
    parts = {"validation": found[:VALIDATION_ROWS], "train": found[VALIDATION_ROWS:]}
    for split, rows in parts.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


def trained(options: argparse.Namespace, out: Path) -> Path:
    """Train the exits, and export them; a finished run is read again."""
    command = [sys.executable, "-m", "leanformer", "compress", options.model, "--data", options.data]
    command += ["--data-dir", options.data_dir] if options.data_dir else []
    command += ["--train-rows", str(options.train_rows)] if options.train_rows else []
    command += ["--method", options.method, "--pruning-ratio", "0.5", "--truncate", "--no-timing"]
    command += ["--seed", str(SEED), "--threads", str(options.threads), "--out", str(out), "--resume"]
    subprocess.run(command, check=False)
    if not (out / "result.json").is_file():
        raise SystemExit(f"{out}: no result")
    return out


def turned(options: argparse.Namespace, run: Path, runtime: str) -> list[dict[str, Any]]:
    """Return a row a setting and batch size, in one runtime."""
    job = Run.open(run).job
    data = load_data(job.data)
    model, tokenizer, _ = load_model(str(run / "teacher"), data.task, finetune=False)
    encoded = encode(data.validation, tokenizer, longest_input(model, tokenizer, job.max_tokens), True)
    dense = ensure_artefact(run / "teacher", run / "dense", runtime, "fp32", tokenizer, encoded)
    cascade = Cascade(artefact(run, runtime, "fp32"), options.threads)
    settings = SETTINGS[options.method]
    answers: dict[Any, Answer] = {"dense": load_runner(dense, runtime, "fp32", options.threads)}
    answers |= {setting: at(cascade, setting) for setting in settings}
    scored = {
        setting: scores(cascade, answers[setting], encoded, tokenizer, data.task) for setting in settings
    }
    rows = []
    for size in SIZES:
        samples = sample_batches(encoded, tokenizer, size)
        times = interleave({str(name): answer for name, answer in answers.items()}, samples, ROUNDS, LIMIT_S)
        for setting in settings:
            ratio, low, high = bootstrap_ratio_interval(times["dense"], times[str(setting)], SEED)
            speed = {"ratio": ratio, "ratio_low": low, "ratio_high": high}
            rows.append({"runtime": runtime, "batch": size, "setting": setting, **speed, **scored[setting]})
    return rows


def at(cascade: Cascade, setting: float) -> Answer:
    """Return the cascade with its dial at a setting."""

    def answer(batch: Mapping[str, np.ndarray]) -> np.ndarray:
        cascade.threshold = setting
        return cascade(batch)

    return answer


def scores(cascade: Cascade, answer: Answer, encoded: Any, tokenizer: Any, task: Any) -> dict[str, float]:
    """Return accuracy and the mean share of layers used, over all validation rows."""
    right, layers = [], []
    for indices, batch in batches(encoded, tokenizer, 32):
        found = answer(arrays(batch)).argmax(axis=1)
        right += (found == np.asarray(encoded["label"])[indices]).tolist()
        layers += cascade.layers.tolist()
    return {"accuracy": float(np.mean(right)), "layers": float(np.mean(layers)), "n": len(right)}


if __name__ == "__main__":
    sys.exit(main())
