"""What does int8 cost, and what do sub-layers that stay in float give back? Every int8 variant of one model.

    python benchmarks/int8.py MODEL --data FOLDER --name sst2 [--bound 1.0] [--threads 2]

MODEL is the folder of a fine-tuned classifier, dense or compressed. For each variant: plain int8, and int8 within the
bound where plain int8 breaks it (decided on held-out training rows); score and KL on validation, size, the sub-layers
that stayed in float, and the speed ratio to ONNX Runtime fp32 in the same interleaved rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grid import RESULTS, write_result
from leanformer.encoders.saving import save_model
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.quantise import Quantised, quantise_onnx, quantise_onnx_static, quantise_openvino
from leanformer.export.runtimes import Runner, load_runner, predict_with
from leanformer.export.sensitivity import HeldOut, quantise_within
from leanformer.measure.clock import interleave
from leanformer.measure.samples import sample_batches
from leanformer.measure.statistics import bootstrap_ratio_interval
from leanformer.tasks.encode import encode, model_max_tokens
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import divergence, score
from leanformer.tasks.predict import predict
from leanformer.tasks.split import split_held_out

BASELINE = "onnxruntime fp32"
BATCHES = (1, 8)
ROUNDS = 30
LIMIT_S = 300.0


def main() -> int:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of a fine-tuned classifier")
    parser.add_argument("--data", required=True, help="the task's data, as leanformer compress takes it")
    parser.add_argument("--name", required=True, help="name of the result: results/int8/NAME.json")
    parser.add_argument("--bound", type=float, default=1.0, help="points of the score that int8 may lose")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = {"name": options.name} | figures_of(options.model, options.data, options.bound, options.threads)
    command = (
        f"python benchmarks/int8.py {options.model} --data {options.data} --name {options.name} "
        f"--bound {options.bound:g} --threads {options.threads}"
    )
    write_result(RESULTS / "int8" / f"{options.name}.json", figures, 0, options.threads, command)
    print(figures)
    return 0


def figures_of(source: str, data_source: str, bound: float, threads: int) -> dict[str, Any]:
    """Make, score and time every variant."""
    data = load_data(DataSpec(source=data_source))
    model, tokenizer, has_head = load_model(source, data.task, finetune=False)
    if not has_head:
        raise SystemExit(f"{source} has no head for the task: fine-tune it first")
    longest = model_max_tokens(model, tokenizer)
    train, validation = (
        encode(rows, tokenizer, longest, truncate=True) for rows in (data.train, data.validation)
    )
    _, rows = split_held_out(train, validation, data.task, seed=0)
    held_out = HeldOut(rows, tokenizer, data.task.metric, predict(model, rows, tokenizer), bound)
    exact, labels = predict(model, validation, tokenizer), np.asarray(validation["label"][:])
    with tempfile.TemporaryDirectory(prefix="leanformer-int8-") as scratch:
        out = Path(scratch)
        save_model(model, tokenizer, out / "model")  # its head in the order of the data's labels
        facts, files = variants(out, held_out)
        runners = {name: load_runner(*file, threads=threads) for name, file in files.items()}
        for name, runner in runners.items():
            logits = predict_with(runner, validation, tokenizer)
            facts[name]["score"] = score(data.task.metric, logits, labels)
            facts[name]["divergence"] = divergence(exact, logits)
        speeds = {str(size): ratios(runners, sample_batches(validation, tokenizer, size)) for size in BATCHES}
    return {
        "model": source,
        "data": data_source,
        "metric": data.task.metric,
        "torch_score": score(data.task.metric, exact, labels),
        "validation_rows": len(validation),
        "held_out_rows": len(rows),
        "bound_points": bound,
        "baseline": BASELINE,
        "variants": facts,
        "speed_ratio_by_batch": speeds,
    }


def variants(
    out: Path, held_out: HeldOut
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[Path, str, str]]]:
    """Write every variant; return what was measured on held-out rows, and (file, runtime, precision), by name.

    "within" has a file of its own only where plain int8 breaks the bound and sub-layers in float keep it.
    """
    rows, tokenizer = held_out.rows, held_out.tokenizer
    facts: dict[str, dict[str, Any]] = {}
    files: dict[str, tuple[Path, str, str]] = {}
    for export in (export_onnx, export_openvino):
        made = export(out / "model", out, rows)
        facts[f"{made.runtime} fp32"] = {"size_mb": made.size_mb}
        files[f"{made.runtime} fp32"] = (made.path, made.runtime, "fp32")
    quantisers: tuple[tuple[str, Callable[..., Quantised]], ...] = (
        ("onnxruntime", partial(quantise_onnx, out)),
        ("onnxruntime", partial(quantise_onnx_static, out, rows, tokenizer)),
        ("openvino", partial(quantise_openvino, out, rows, tokenizer)),
    )
    for number, (runtime, quantiser) in enumerate(quantisers):
        plain = quantiser(float_sublayers=(), into=out / f"plain-{number}")
        name = f"{runtime} {plain.precision}"
        facts[name] = {**sizes(plain), "held_out": asdict(held_out.loss(plain))}
        files[name] = (plain.path, runtime, plain.precision)
        within = quantise_within(quantiser, out, runtime, held_out)
        facts[f"{name} within"] = {
            "accepted": within.quantised is not None,
            "held_out": asdict(within.loss),
            "trials": [asdict(trial) for trial in within.trials],
            "ranking": within.ranking,
        }
        if within.quantised is not None and within.ranking:
            facts[f"{name} within"] |= sizes(within.quantised)
            files[f"{name} within"] = (within.quantised.path, runtime, plain.precision)
    return facts, files


def sizes(made: Quantised) -> dict[str, Any]:
    """Return what a file is."""
    return {"size_mb": made.size_mb, "note": made.note, "float_sublayers": made.float_sublayers}


def ratios(runners: dict[str, Runner], samples: list[dict[str, np.ndarray]]) -> dict[str, list[float]]:
    """Return how much faster than the baseline each runner is: ratio, and its interval."""
    times = interleave(runners, samples, ROUNDS, LIMIT_S)
    return {name: list(bootstrap_ratio_interval(times[BASELINE], taken, 0)) for name, taken in times.items()}


if __name__ == "__main__":
    sys.exit(main())
