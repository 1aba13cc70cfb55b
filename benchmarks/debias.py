"""What does taking gender bias out cost? debias-movement on MiniLM and STS-B, fair-distillation on a masked MiniLM.

    python benchmarks/debias.py --minilm MODEL --mlm MODEL --data ../shared/data

MODEL of --minilm is the folder of all-MiniLM-L6-v2, that of --mlm one with a head for masked words; --data holds
glue/STS-B, bias and wiki/wikipedia_en.txt. Each cell is one `leanformer debias`; an interrupted one goes on. A level
is chosen on rows of train and on our own word tests; SEAT and the validation pairs are read for the figures alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid import RESULTS, SCRATCH, cell_environment, write_result

SHORT = ("steps=60", "batch=16", "sentences=1000")


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        model: The option that names its model.
        arguments: What is asked besides model, text and data.
        options: The method's settings.
    """

    model: str
    arguments: tuple[str, ...]
    options: tuple[str, ...]


CELLS = {
    "movement-all": Cell("minilm", ("--levels", "0.03,0.06,0.1,0.15"), SHORT),
    "movement-alike": Cell("minilm", ("--levels", "0.03,0.06,0.1,0.15"), (*SHORT, "scale=alike")),
    "movement-last": Cell("minilm", ("--levels", "0.05,0.1,0.15"), (*SHORT, "layers=last")),
    "movement-block": Cell("minilm", ("--granularity", "block", "--levels", "0.03,0.06,0.1,0.15"), SHORT),
    "distillation": Cell("mlm", ("--method", "fair-distillation"), ("rows=3000", "batch=16", "tokens=48")),
}
KEPT = (
    *(
        "model",
        "corpus",
        "method",
        "granularity",
        "options",
        "task",
        "metric",
        "n",
        "judged_n",
        "max_drop_points",
    ),
    *("words", "dense", "levels", "chosen", "within", "groups", "texts", "layers", "student", "control"),
    *("bias", "against_control", "loss_change", "stages"),
)


def main() -> int:
    """Run the cells that are asked for, one JSON each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minilm", help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--mlm", help="a model folder with a head for masked words")
    parser.add_argument("--data", required=True, help="folder with glue, bias and wiki")
    parser.add_argument("--cell", action="append", choices=CELLS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    failed = 0
    for name in options.cell or CELLS:
        if getattr(options, CELLS[name].model) is None:
            print(f"{name} is left out: it takes --{CELLS[name].model}")
            continue
        failed += run(name, options)
    return int(failed > 0)


def run(name: str, options: argparse.Namespace) -> int:
    """Run a cell, or what is left of it; return whether it failed."""
    out = SCRATCH / "debias" / name
    done = subprocess.run(
        command(CELLS[name], options, out), env=cell_environment(options.threads), check=False
    )
    if not (out / "debias.json").is_file():
        print(f"{name}: no result, exit code {done.returncode}", file=sys.stderr)
        return 1
    record = json.loads((out / "debias.json").read_text(encoding="utf-8"))
    said = f"python benchmarks/debias.py --{CELLS[name].model} MODEL --data {options.data} --cell {name}"
    path = RESULTS / "debias" / f"{name}.json"
    write_result(path, {"cell": name, **kept(record)}, options.seed, options.threads, said)
    return 0


def command(cell: Cell, options: argparse.Namespace, out: Path) -> list[str]:
    """Return a cell's command line."""
    data = Path(options.data)
    parts = [sys.executable, "-m", "leanformer", "debias", getattr(options, cell.model)]
    parts += ["--corpus", str(data / "wiki" / "wikipedia_en.txt"), *cell.arguments]
    if cell.model == "minilm":
        parts += ["--data", "sts-b", "--data-dir", str(data / "glue" / "STS-B"), "--kind", "embedding"]
        parts += ["--suite-data", str(data / "bias" / "seat")]
    else:
        parts += ["--suite-data", str(data / "bias"), "--most", "200"]
    for setting in cell.options:
        parts += ["--option", setting]
    return [
        *parts,
        "--threads",
        str(options.threads),
        "--seed",
        str(options.seed),
        "--out",
        str(out),
        "--resume",
    ]


def kept(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run's record: all but the curves of its trainings, and the names of folders."""
    found = {key: record[key] for key in KEPT if key in record}
    found |= {key: Path(record[key]).name for key in ("model", "corpus")}
    if "levels" in found:
        found["levels"] = [{**level, "training": _short(level["training"])} for level in found["levels"]]
        del found["bias"]  # the levels have the tests that are shown
    return found | {key: _short(found[key]) for key in ("student", "control") if key in found}


def _short(training: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in training.items() if key != "curve"}


if __name__ == "__main__":
    sys.exit(main())
