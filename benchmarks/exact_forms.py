"""What are the exact rewrites worth? Every form of MiniLM over its plain form, in the same runtime and precision.

    python benchmarks/exact_forms.py --data ../shared/data/glue --model ../shared/models/minilm-mlm

measures MRPC and SST-2 at batch 1 and 8, all forms of all variants taking turns in one run, and writes
benchmarks/results/exact_forms/TASK.json. A headless model gets a fresh head: what a form is worth does not depend on
the weights; that the logits stay the same is measured beside the ratios.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grid import RESULTS, write_result
from leanformer.encoders.forms import PLAIN, forms_for
from leanformer.encoders.saving import save_model
from leanformer.export.runtimes import VARIANTS, Runner, has_form, load_runner
from leanformer.export.variants import ensure_artefact
from leanformer.measure.clock import interleave
from leanformer.measure.samples import sample_batches
from leanformer.measure.sorting import padding
from leanformer.measure.statistics import bootstrap_ratio_interval, median_interval
from leanformer.pipeline import longest_input, split_held_out
from leanformer.tasks.encode import encode
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data

TASKS = ("mrpc", "sst-2")
TRAIN_ROWS = 2000  # only calibration texts are taken from them
BATCHES = (1, 8)
SEED = 0


@dataclass(frozen=True)
class Material:
    """A task's rows and a model with a head for it, saved."""

    folder: Path
    config: Any
    tokenizer: Any
    validation: Any
    calibration: Any
    max_tokens: int


def material(task: str, data: Path, model: str, folder: Path) -> Material:
    """Load the task, give the model a head where it has none, and encode the rows."""
    loaded = load_data(DataSpec(source=task, data_dir=str(data), train_rows=TRAIN_ROWS))
    torch.manual_seed(SEED)
    network, tokenizer, _ = load_model(model, loaded.task, finetune=True)
    save_model(network, tokenizer, folder / "model")
    longest = longest_input(network, tokenizer, None)
    _, held_out = split_held_out(encode(loaded.train, tokenizer, longest, True), loaded.task, SEED)
    validation = encode(loaded.validation, tokenizer, longest, True)
    return Material(folder / "model", network.config, tokenizer, validation, held_out, longest)


def runners(given: Material, out: Path, precisions: list[str], threads: int) -> dict[tuple[str, ...], Runner]:
    """Make every form of every variant ready, by (runtime, precision, form)."""
    ready: dict[tuple[str, ...], Runner] = {}
    for runtime, precision in VARIANTS:
        if precision not in precisions:
            continue
        for form in (form for form in forms_for(given.config) if has_form(runtime, form)):
            source = given.folder
            if runtime != "torch":
                source = ensure_artefact(
                    given.folder,
                    out,
                    runtime,
                    precision,
                    given.tokenizer,
                    given.validation,
                    given.calibration,
                    form,
                )
            ready[runtime, precision, form] = load_runner(source, runtime, precision, threads, form)
    return ready


def differences(
    ready: Mapping[tuple[str, ...], Runner], samples: list[dict[str, np.ndarray]]
) -> dict[tuple[str, ...], float]:
    """Return the largest absolute difference of a logit from the plain form in the same runtime and precision."""
    return {
        (runtime, precision, form): max(
            float(np.abs(runner(batch) - ready[runtime, precision, PLAIN](batch)).max()) for batch in samples
        )
        for (runtime, precision, form), runner in ready.items()
    }


def rows_of(
    ready: Mapping[tuple[str, ...], Runner], given: Material, batch: int, rounds: int
) -> list[dict[str, Any]]:
    """Time all of them side by side at one batch size."""
    samples = sample_batches(given.validation, given.tokenizer, batch)
    times = interleave({" ".join(name): runner for name, runner in ready.items()}, samples, rounds)
    changed = differences(ready, samples)
    rows = []
    for runtime, precision, form in ready:
        spent, plain = (
            times[" ".join((runtime, precision, form))],
            times[" ".join((runtime, precision, PLAIN))],
        )
        latency_ms, latency_low, latency_high = median_interval(spent, SEED)
        ratio, ratio_low, ratio_high = bootstrap_ratio_interval(plain, spent, SEED)
        rows.append(
            {
                "runtime": runtime,
                "precision": precision,
                "form": form,
                "batch": batch,
                "rounds": len(spent),
                "latency_ms": latency_ms,
                "latency_low": latency_low,
                "latency_high": latency_high,
                "ratio_to_plain": ratio,
                "ratio_low": ratio_low,
                "ratio_high": ratio_high,
                "max_difference": changed[runtime, precision, form],
            }
        )
    return rows


def main() -> int:
    """Measure the tasks one by one and write a JSON each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with MRPC/ and SST-2/")
    parser.add_argument("--model", required=True, help="MiniLM, with or without a head for the task")
    parser.add_argument("--task", action="append", choices=TASKS, help="only this one")
    parser.add_argument("--precision", action="append", help="only this one; fp32 and int8 by default")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    precisions = options.precision or ["fp32", "int8"]
    torch.set_num_threads(options.threads)
    for task in options.task or TASKS:
        with tempfile.TemporaryDirectory(prefix="leanformer-exact-") as scratch:
            given = material(task, options.data, options.model, Path(scratch))
            ready = runners(given, Path(scratch), precisions, options.threads)
            rows = [row for batch in BATCHES for row in rows_of(ready, given, batch, options.rounds)]
            lengths = [len(ids) for ids in given.validation["input_ids"]]
            counts = [asdict(one) for one in padding(lengths, given.max_tokens)]
        figures = {"task": task, "n": len(lengths), "rows": rows, "padding": counts}
        command = (
            f"python benchmarks/exact_forms.py --data {options.data} --model {options.model} --task {task} "
            f"{' '.join(f'--precision {one}' for one in precisions)} --rounds {options.rounds} "
            f"--threads {options.threads}"
        )
        write_result(RESULTS / "exact_forms" / f"{task}.json", figures, SEED, options.threads, command)
        for row in rows:
            print(
                f"{task} batch {row['batch']} {row['runtime']} {row['precision']} {row['form'] or 'plain'}: "
                f"{row['ratio_to_plain']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
