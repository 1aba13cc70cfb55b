"""Does the latency table foretell whole models? 12 random pruned MiniLMs, predicted against measured speed-up.

    python benchmarks/latency_prediction.py

measures the table first where the user's cache folder does not have it (about ten minutes on two idle cores; with
--plan full half an hour), then every pruned model side by side with the dense one, on each runtime and precision, at
batch 1 and 8. What is finished is kept in .bench/latency_prediction.json, and the same command goes on there. Needs
the extra `demo`. The weights do not matter to speed: the models are sliced, not trained.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from grid import RESULTS, SCRATCH, commit, write_result
from leanformer.demo import model_folder
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.export.parity import sample_texts
from leanformer.measure.clock import interleave
from leanformer.measure.latency.costs import costs_of
from leanformer.measure.latency.measuring import CALLS, Wanted, choose_variants, measure_table
from leanformer.measure.latency.probe import random_batch, ready_runner
from leanformer.measure.latency.table import Setting, Table
from leanformer.measure.statistics import bootstrap_ratio_interval
from leanformer.search.realise import masks_of, unit_space
from leanformer.structure.importance import unit_magnitude
from leanformer.structure.surgery import slice_units
from leanformer.tasks.heads import load_model
from leanformer.tasks.task import Task

MODELS = 12
RATIOS = (0.2, 0.9)
BATCHES = (1, 8)
TOKENS = (32,)
ROUNDS = 12
LIMIT_S = 6.0
KEPT = SCRATCH / "latency_prediction.json"
TASK = Task("timing", "classification", pair=False, labels=("no", "yes"), metric="accuracy")
Row = dict[str, Any]


@dataclass(frozen=True)
class Home:
    """A model on disk.

    Attributes:
        folder: Its Hugging Face folder, in which the exports are put too.
        shapes: Heads and neurons of each layer.
    """

    folder: Path
    shapes: tuple[tuple[int, int], ...]


def home_of(model: Any, tokenizer: Any, folder: Path) -> Home:
    """Write a model and say what shapes it has."""
    save_model(model, tokenizer, folder)
    view = EncoderView(model)
    return Home(folder, tuple((view.heads(layer), view.width(layer)) for layer in range(view.n_layers)))


def random_model(dense: Any, seed: int, number: int) -> tuple[float, Any]:
    """Return the pruning ratio and the sliced model of one random candidate."""
    generator = np.random.default_rng([seed, number])
    ratio = float(generator.uniform(*RATIOS))
    view = EncoderView(dense)
    space = unit_space(view, ratio)
    return ratio, slice_units(dense, masks_of(space, space.random(generator), unit_magnitude(view)))


class Comparison:
    """Times pruned models against the dense one and against what the table says."""

    def __init__(
        self, dense: Any, tokenizer: Any, table: Table, settings: Sequence[Setting], seed: int
    ) -> None:
        self.tokenizer, self.table, self.settings, self.seed = tokenizer, table, settings, seed
        self.vocabulary = dense.config.vocab_size
        self.texts = sample_texts(dense, tokenizer)

    def rows(self, dense: Home, pruned: Home) -> list[Row]:
        """Measure one pruned model in all settings."""
        return [self._row(setting, dense, pruned) for setting in self.settings]

    def _row(self, setting: Setting, dense: Home, pruned: Home) -> Row:
        runners = {
            name: ready_runner(
                home.folder,
                setting.runtime,
                setting.precision,
                setting.threads,
                self.tokenizer,
                self.texts,
            )
            for name, home in (("dense", dense), ("pruned", pruned))
        }
        batch = random_batch(setting, self.tokenizer.model_input_names, self.vocabulary, self.seed)
        times = interleave(runners, [batch] * CALLS, ROUNDS, LIMIT_S)
        measured, low, high = bootstrap_ratio_interval(times["dense"], times["pruned"], self.seed)
        costs = costs_of(self.table, setting)
        predicted = costs.predict_ms(dense.shapes) / costs.predict_ms(pruned.shapes)
        return {
            **asdict(setting),
            "predicted_speedup": predicted,
            "summed_speedup": costs.sum_ms(dense.shapes) / costs.sum_ms(pruned.shapes),
            "measured_speedup": measured,
            "measured_low": low,
            "measured_high": high,
            "relative_error": abs(predicted / measured - 1),
            "predicted_ms": costs.predict_ms(pruned.shapes),
            "measured_ms": float(np.median(times["pruned"])),
        }


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return the median relative error of each runtime, precision and batch size."""

    def group(row: Row) -> tuple[str, str, int]:
        return row["runtime"], row["precision"], row["batch"]

    told = []
    for key in sorted({group(row) for row in rows}):
        here = [row for row in rows if group(row) == key]
        of_the_sum = [abs(row["summed_speedup"] / row["measured_speedup"] - 1) for row in here]
        told.append(
            {
                **dict(zip(("runtime", "precision", "batch"), key, strict=True)),
                "models": len(here),
                "median_relative_error": median(row["relative_error"] for row in here),
                "largest_relative_error": max(row["relative_error"] for row in here),
                "median_relative_error_of_the_sum": median(of_the_sum),
            }
        )
    return told


def kept_models(job: Mapping[str, Any]) -> list[Row]:
    """Return the models that an interrupted run of the same job has finished."""
    if not KEPT.is_file():
        return []
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    return list(kept["models"]) if kept["job"] == job else []


def keep(job: Mapping[str, Any], models: Sequence[Row]) -> None:
    """Keep what is finished, whole or not at all."""
    KEPT.parent.mkdir(exist_ok=True)
    partial = KEPT.with_suffix(".partial")
    partial.write_text(json.dumps({"job": job, "models": models}), encoding="utf-8")
    partial.replace(KEPT)


def main() -> int:
    """Measure what is missing, compare, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--plan", choices=("full", "brief"), default="brief", help="which probes make the table"
    )
    parser.add_argument("--runtime", action="append", help="measure this one; all by default")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    wanted = Wanted(
        BATCHES,
        TOKENS,
        choose_variants(given.runtime or [], []),
        given.threads,
        seed=given.seed,
        plan=given.plan,
    )
    table, _ = measure_table(model_folder(), wanted)
    dense, tokenizer, _ = load_model(str(model_folder()), TASK, finetune=True)
    comparison = Comparison(dense, tokenizer, table, wanted.settings(), given.seed)
    job = {"commit": commit(), "variants": [list(one) for one in wanted.variants], **vars(given)}
    models = kept_models(job)
    with tempfile.TemporaryDirectory() as scratch:
        dense_home = home_of(dense, tokenizer, Path(scratch) / "dense")
        for number in range(len(models), given.models):
            ratio, model = random_model(dense, given.seed, number)
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                pruned = home_of(model, tokenizer, Path(folder) / "pruned")
                rows = comparison.rows(dense_home, pruned)
            models.append({"pruning_ratio": ratio, "shapes": pruned.shapes, "rows": rows})
            keep(job, models)
            print(f"model {number + 1} of {given.models}: ratio {ratio:.2f}", flush=True)
    figures = {
        "model": "all-MiniLM-L6-v2",
        "tokens": list(TOKENS),
        "plan": given.plan,
        "summary": summary([row for model in models for row in model["rows"]]),
        "models": models,
    }
    command = f"python benchmarks/latency_prediction.py --threads {given.threads} --plan {given.plan}"
    command += "".join(f" --runtime {name}" for name in given.runtime or [])
    write_result(
        RESULTS / "latency_prediction" / f"{'-'.join(given.runtime or ['all'])}.json",
        figures,
        given.seed,
        given.threads,
        command,
    )
    for row in figures["summary"]:
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
