"""What are the exact rewrites worth? Every form of MiniLM over its plain form, in the same runtime and precision.

    python benchmarks/exact_forms.py --data ../shared/data/glue

measures MRPC and SST-2 at batch 1 and 8, all forms of all variants taking turns in one run, and writes
benchmarks/results/exact_forms/TASK.json. A headless model gets a fresh head: what a form is worth does not depend on
the weights; that the logits stay the same is measured beside the ratios.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grid import RESULTS, write_result
from leanformer.demo import model_folder
from leanformer.encoders.forms import PLAIN, forms_for
from leanformer.encoders.saving import save_model
from leanformer.export.runtimes import VARIANTS, Runner, has_form, load_runner
from leanformer.export.variants import ensure_artefact
from leanformer.measure.clock import interleave
from leanformer.measure.samples import sample_batches
from leanformer.measure.sorting import padding
from leanformer.measure.statistics import bootstrap_ratio_interval, median_interval
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.split import split_held_out

TASKS = ("mrpc", "sst-2")
TRAIN_ROWS = 2000  # only calibration texts are taken from them
BATCHES = (1, 8)
SEED = 0
Spent = Mapping[tuple[str, ...], Sequence[float]]  # milliseconds a round, by (runtime, precision, form)


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
    train, validation = (encode(rows, tokenizer, longest, True) for rows in (loaded.train, loaded.validation))
    _, held_out = split_held_out(train, validation, loaded.task, SEED)
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


def timed(
    ready: Mapping[tuple[str, ...], Runner], given: Material, batch: int, rounds: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Time all of them side by side at one batch size; return a row each, and what the best of them is worth."""
    samples = sample_batches(given.validation, given.tokenizer, batch)
    times = interleave({" ".join(name): runner for name, runner in ready.items()}, samples, rounds)
    spent = {name: times[" ".join(name)] for name in ready}
    changed = differences(ready, samples)
    rows = [row_of(name, batch, spent, changed[name]) for name in ready]
    return rows, best_of(batch, spent)


def row_of(name: tuple[str, ...], batch: int, spent: Spent, difference: float) -> dict[str, Any]:
    """Return what one form takes, and its ratio to the plain form in the same runtime and precision."""
    runtime, precision, form = name
    latency_ms, latency_low, latency_high = median_interval(spent[name], SEED)
    ratio, ratio_low, ratio_high = bootstrap_ratio_interval(
        spent[runtime, precision, PLAIN], spent[name], SEED
    )
    return {
        "runtime": runtime,
        "precision": precision,
        "form": form,
        "batch": batch,
        "rounds": len(spent[name]),
        "latency_ms": latency_ms,
        "latency_low": latency_low,
        "latency_high": latency_high,
        "ratio_to_plain": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "max_difference": difference,
    }


def best_of(batch: int, spent: Spent) -> dict[str, Any]:
    """Compare the fastest of all forms with the fastest plain variant: what the exact rewrites alone bring.

    Where the table says that no form is faster, the plain one is taken, and the ratio is 1.
    """
    fastest = min(spent, key=lambda name: float(np.median(spent[name])))
    plain = min((name for name in spent if name[2] == PLAIN), key=lambda name: float(np.median(spent[name])))
    ratio, low, high = bootstrap_ratio_interval(spent[plain], spent[fastest], SEED)
    names = {"best_plain": list(plain), "best": list(fastest)}
    return {"batch": batch, **names, "ratio": ratio, "ratio_low": low, "ratio_high": high}


def main() -> int:
    """Measure the tasks one by one and write a JSON each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with MRPC/ and SST-2/")
    parser.add_argument("--model", help="with or without a head for the task; the demo's MiniLM by default")
    parser.add_argument("--task", action="append", choices=TASKS, help="only this one")
    parser.add_argument("--precision", action="append", help="only this one; fp32 and int8 by default")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    precisions, source = options.precision or ["fp32", "int8"], options.model or str(model_folder())
    torch.set_num_threads(options.threads)
    for task in options.task or TASKS:
        with tempfile.TemporaryDirectory(prefix="leanformer-exact-") as scratch:
            given = material(task, options.data, source, Path(scratch))
            ready = runners(given, Path(scratch), precisions, options.threads)
            found = [timed(ready, given, batch, options.rounds) for batch in BATCHES]
            rows, best = [row for some, _ in found for row in some], [one for _, one in found]
            lengths = [len(ids) for ids in given.validation["input_ids"]]
            counts = [asdict(one) for one in padding(lengths, given.max_tokens)]
        figures = {"task": task, "n": len(lengths), "best": best, "rows": rows, "padding": counts}
        command = (
            f"python benchmarks/exact_forms.py --data {options.data} --task {task} "
            f"{' '.join(f'--precision {one}' for one in precisions)} --rounds {options.rounds} "
            f"--threads {options.threads}"
        ) + (f" --model {options.model}" if options.model else "")
        write_result(RESULTS / "exact_forms" / f"{task}.json", figures, SEED, options.threads, command)
        for row in rows:
            print(
                f"{task} batch {row['batch']} {row['runtime']} {row['precision']} {row['form'] or 'plain'}: "
                f"{row['ratio_to_plain']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            )
        for one in best:
            print(one)
    return 0


if __name__ == "__main__":
    sys.exit(main())
