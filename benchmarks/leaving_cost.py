"""What does it cost to choose the tokens that leave? A model from which next to none leave, at more and more places.

    python benchmarks/leaving_cost.py DENSE --data ../shared/data/glue --task mrpc

DENSE is a model with a head for the task. At each place one 64th of a text leaves, so that what is read hardly falls
and what is spent on choosing shows: the difference to the model that drops nothing, a place. All take turns in one
run. The table of sub-layers prices shorter texts and not this.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from grid import GLUE_FOLDERS, RESULTS, write_result
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.structure.tokens import with_kept_tokens
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from side_by_side import SEED, timed

LIMIT_S = 60.0  # of timing, a batch size


def main() -> int:
    """Build, time, and write one JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a fine-tuned model folder")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--task", default="mrpc", choices=GLUE_FOLDERS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    folder = Path(options.data) / GLUE_FOLDERS[options.task]
    with tempfile.TemporaryDirectory() as scratch:
        places = saved(options, folder, Path(scratch))
        rows = by_places(options, folder, places)
    said = " ".join(["python", "benchmarks/leaving_cost.py", "DENSE", *sys.argv[2:]])
    figures = {"task": options.task, "rows": rows}
    write_result(RESULTS / "leaving_cost.json", figures, SEED, options.threads, said)
    return 0


def saved(options: argparse.Namespace, folder: Path, scratch: Path) -> dict[int, Path]:
    """Save a model a number of places: none, two, half of the layers, all of them; OpenVINO can not do one."""
    task = load_data(DataSpec(source=options.task, data_dir=str(folder))).task
    model, tokenizer, _ = load_model(options.model, task, finetune=False)
    layers = EncoderView(model).n_layers
    found = {}
    for places in sorted({0, 2, layers // 2, layers}):
        shares = [1 - min(layer + 1, places) / 64 for layer in range(layers)]
        found[places] = scratch / str(places)
        save_model(with_kept_tokens(model, shares), tokenizer, found[places])
    return found


def by_places(options: argparse.Namespace, folder: Path, places: dict[int, Path]) -> list[dict[str, Any]]:
    """Time all of them side by side in every runtime."""
    data = ["--data", options.task, "--data-dir", str(folder), "--threads", str(options.threads)]
    rows = timed({str(count): path for count, path in places.items()}, data, LIMIT_S)
    return [{"places": int(row["model"]), **row} for row in rows]


if __name__ == "__main__":
    sys.exit(main())
