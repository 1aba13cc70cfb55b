"""What do recorded shapes cost an int8 file? ONNX Runtime fuses sum and norm where it reads them, for the worse.

    python benchmarks/int8_norms.py DENSE PRUNED --data ../shared/data/glue --task sst-2

Each model is quantised twice, dynamically: by `quantize_dynamic` alone, which records shapes in the file, and as
leanformer writes it, without them. Both take turns on validation texts; the ratio is of the same rounds. Scores are
of all validation rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from grid import GLUE_FOLDERS, RESULTS, write_result
from leanformer.export.cpu import cpu
from leanformer.export.exporters import export_onnx
from leanformer.export.int8_onnx import write_dynamic
from leanformer.export.runtimes import OnnxRunner, predict_with
from leanformer.measure.clock import interleave
from leanformer.measure.samples import sample_batches
from leanformer.measure.statistics import bootstrap_ratio_interval
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data

SIZES, ROUNDS, LIMIT_S, SEED = (1, 8), 30, 60.0, 0


def main() -> int:
    """Quantise, time, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="fine-tuned model folders, dense or compressed")
    parser.add_argument("--name", action="append", required=True, help="one for each model")
    parser.add_argument("--data", type=Path, required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", required=True, choices=GLUE_FOLDERS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for name, model in zip(options.name, options.models, strict=True):
        with tempfile.TemporaryDirectory() as scratch:
            rows += [{"model": name, **row} for row in measured(model, Path(scratch), options)]
    said = f"python benchmarks/int8_norms.py MODELS --data {options.data} --task {options.task}"
    figures = {"task": options.task, "rows": rows}
    write_result(RESULTS / "int8_norms.json", figures, SEED, options.threads, said)
    return 0


def measured(folder: str, scratch: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return how much faster a model's file is without shapes, a row a batch size."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = options.data / GLUE_FOLDERS[options.task]
    data = load_data(DataSpec(source=options.task, data_dir=str(source)))
    model, tokenizer, _ = load_model(folder, data.task, finetune=False)
    encoded = encode(data.validation, tokenizer, longest_input(model, tokenizer, None), False)
    exported = export_onnx(folder, scratch).path
    recorded, forgotten = scratch / "recorded.onnx", scratch / "forgotten.onnx"
    write_dynamic(exported, forgotten, cpu())
    bits = {"reduce_range": cpu().saturates_int8, "weight_type": QuantType.QInt8}
    quantize_dynamic(str(exported), str(recorded), per_channel=True, **bits)
    runners = {path.stem: OnnxRunner(path, "int8", options.threads) for path in (recorded, forgotten)}
    labels = np.asarray(encoded["label"])
    scores = {
        name: float((predict_with(runner, encoded, tokenizer).argmax(axis=1) == labels).mean())
        for name, runner in runners.items()
    }
    rows = []
    for size in SIZES:
        times = interleave(runners, sample_batches(encoded, tokenizer, size), ROUNDS, LIMIT_S)
        ratio, low, high = bootstrap_ratio_interval(times["recorded"], times["forgotten"], SEED)
        speed = {"ratio": ratio, "ratio_low": low, "ratio_high": high}
        milliseconds = {f"{name}_ms": float(np.median(found)) for name, found in times.items()}
        rows.append({"batch": size, "n": len(labels), "scores": scores, **milliseconds, **speed})
    return rows


if __name__ == "__main__":
    sys.exit(main())
