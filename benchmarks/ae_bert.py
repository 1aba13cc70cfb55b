"""Does AE-BERT hold? Its rows beside magnitude pruning, at the same fine-tuning budget and recipe.

    python benchmarks/ae_bert.py --data ../shared/data/glue --model e5-small=../shared/models/e5-small

runs the core tier cell by cell, each in a process of its own, and skips the cells whose JSON is already in
benchmarks/results/ae_bert/PROCESSOR/. `--tier extended` adds the rest; `--list` shows which cells are finished; a
cell's JSON that was made elsewhere can be copied in. benchmarks/tables.py turns the JSON into the tables of the docs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from ae_bert_study import CORRELATION_CANDIDATES, fine_tuned, judged
from grid import RESULTS, SCRATCH, processor, run_cells, write_result
from grid_on_ray import Luggage, run_cells_on_ray

FOLDER = RESULTS / "ae_bert"
BASELINES = ("uniform-magnitude", "global-magnitude", "gradual-magnitude")
SEARCHES = ("ae-bert-random", "ae-bert")
ROWS_OF = {"sst-2": 10_000}  # first train rows; the other tasks are used whole


@dataclass(frozen=True)
class Cell:
    """One figure of the grid."""

    model: str
    task: str
    granularity: str
    ratio: float
    method: str  # "dense", a method's name, or of the study: "candidate-I" (fine-tuned), "judged-I" (cheaply)
    seed: int

    @property
    def name(self) -> str:
        """The file's name, and what --cell takes."""
        return f"{self.model}_{self.task}_{self.granularity}_{self.ratio:g}_{self.method}_{self.seed}"

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Read a name."""
        model, task, granularity, ratio, method, seed = name.split("_")
        return cls(model, task, granularity, float(ratio), method, int(seed))


def core() -> Iterator[Cell]:
    """The tier that the claims rest on."""
    for task, seeds in (("mrpc", (0, 1, 2)), ("sst-2", (0,))):
        for seed in seeds:
            yield Cell("e5-small", task, "unit", 0.0, "dense", seed)
            for ratio, method in product(
                (0.8, 0.7),
                ("ae-bert", "global-magnitude", "uniform-magnitude", "ae-bert-random", "gradual-magnitude"),
            ):
                yield Cell("e5-small", task, "unit", ratio, method, seed)
            yield Cell("e5-small", task, "unit", 0.5, "ae-bert", seed)
            if task == "mrpc" and seed == 0:
                for number in range(CORRELATION_CANDIDATES):
                    yield Cell("e5-small", "mrpc", "unit", 0.8, f"candidate-{number}", 0)
                    yield Cell("e5-small", "mrpc", "unit", 0.8, f"judged-{number}", 0)
    # Ablation: what the order of removal and the repair give without a search. Candidate 0 is the uniform allocation.
    for task, ratio, seed in product(("mrpc",), (0.8, 0.7), (0, 1, 2)):
        yield Cell("e5-small", task, "unit", ratio, "candidate-0", seed)


def extended() -> Iterator[Cell]:
    """More models, tasks, ratios and the paper's own granularity; filled as time allows."""
    for model, task, granularity in product(
        ("minilm", "e5-small"), ("mrpc", "sst-2", "sts-b", "qnli"), ("unit", "weight")
    ):
        yield Cell(model, task, granularity, 0.0, "dense", 0)
        ratios = (0.5, 0.7, 0.8) if granularity == "unit" else (0.5, 0.7, 0.8, 0.9)
        for ratio, method in product(ratios, (*SEARCHES, *BASELINES)):
            yield Cell(model, task, granularity, ratio, method, 0)


def main() -> int:
    """Run one cell, or all that are missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder with MRPC/, SST-2/, STS-B/, QNLI/"
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME=FOLDER", help="where a model lies"
    )
    parser.add_argument("--tier", choices=("core", "extended"), default="core")
    parser.add_argument("--only", default="", help="only cells whose name matches this regular expression")
    parser.add_argument("--workers", type=int, default=2, help="cells at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads a cell")
    parser.add_argument(
        "--engine", choices=("in-process", "ray"), default="in-process", help="where cells run"
    )
    parser.add_argument(
        "--address", help="HOST:PORT of the Ray cluster's head; --workers is its business then"
    )
    parser.add_argument("--list", action="store_true", help="show the cells and stop")
    parser.add_argument("--cell", help="run this one here")
    options = parser.parse_args()
    models = dict(pair.split("=", 1) for pair in options.model)
    if options.cell:
        run_cell(Cell.parse(options.cell), models, options.data, options.threads)
        return 0
    tier = core() if options.tier == "core" else extended()
    cells = list(dict.fromkeys(cell for cell in tier if re.search(options.only, cell.name)))
    if options.list:
        for cell in cells:
            print("done   " if finished(cell) else "missing", cell.name)
        return 0
    missing = [cell for cell in cells if not finished(cell) and cell.model in models]
    passed = ["--data", str(options.data), "--threads", str(options.threads)]
    passed += [part for pair in options.model for part in ("--model", pair)]
    # The teachers come first, since all other cells read them; a teacher that is not here any more is trained again.
    teachers = dict.fromkeys(replace(cell, granularity="unit", ratio=0.0, method="dense") for cell in missing)
    dense = [cell.name for cell in teachers if not (finished(cell) and (home(cell) / "teacher").exists())]
    rest = [cell.name for cell in missing if cell.method != "dense"]
    failed = 0
    for names in (dense, rest):
        if options.engine == "ray":
            failed += run_cells_on_ray(__file__, names, passed, options.threads, options.address, luggage)
        else:
            failed += run_cells(__file__, names, passed, options.workers, options.threads)
    return min(1, failed)


def result_path(cell: Cell) -> Path:
    """Return where a cell's figures of this kind of processor lie."""
    return FOLDER / processor() / f"{cell.name}.json"


def finished(cell: Cell) -> bool:
    """Whether a cell's figures are there."""
    return result_path(cell).exists()


def home(cell: Cell) -> Path:
    """Return the folder of the teacher that all rows of a model, task and seed share."""
    return SCRATCH / "ae_bert" / f"{cell.model}_{cell.task}_{cell.seed}"


def luggage(name: str) -> Luggage:
    """Return what a cell needs from its teacher's cell, on another machine too."""
    cell = Cell.parse(name)
    teacher = (str((home(cell) / "teacher").relative_to(SCRATCH)),)
    result = str(result_path(cell).relative_to(RESULTS))  # the nodes have one kind of processor
    return Luggage((), teacher, result) if cell.method == "dense" else Luggage(teacher, (), result)


def run_cell(cell: Cell, models: dict[str, str], data: Path, threads: int) -> None:
    """Compute one cell and write its JSON."""
    import torch

    from leanformer.methods.registry import METHODS

    torch.set_num_threads(threads)
    started = time.perf_counter()
    problem, splits, teacher_facts = prepare(cell, models, data)
    figures: dict[str, Any] = {"cell": asdict(cell)}
    kind, _, number = cell.method.partition("-")
    if kind == "judged":
        figures |= judged(problem, int(number))
    else:
        model = problem.teacher
        if cell.method == "dense":
            figures["training"] = teacher_facts
        else:
            found = (
                fine_tuned(problem, int(number)) if kind == "candidate" else METHODS[cell.method].run(problem)
            )
            model = found.model
            figures |= {"training": found.training, "search": found.search} | kept(cell, problem, found)
        figures |= answers(cell, problem, model, splits)
    figures["seconds"] = time.perf_counter() - started
    command = (
        f"python benchmarks/ae_bert.py --cell {cell.name} --threads {threads} --data {data} "
        + " ".join(f"--model {name}={path}" for name, path in models.items() if name == cell.model)
    )
    write_result(result_path(cell), figures, cell.seed, threads, command)
    shutil.rmtree(problem.folder, ignore_errors=True)


def dense_answers(cell: Cell, problem: Any, split: str, rows: Any) -> Any:
    """Return the teacher's logits on a split, (rows, classes): computed once for all cells."""
    import numpy as np

    from leanformer.tasks.predict import predict

    path = home(cell) / f"{split}.npy"
    if not path.exists():
        partial = path.with_suffix(f".{cell.method}.npy")
        np.save(partial, predict(problem.teacher, rows, problem.tokenizer))
        partial.replace(path)
    return np.load(path)


def prepare(cell: Cell, models: dict[str, str], data: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Load the task, and the dense teacher that all rows of a seed share; fine-tune it where it is missing."""
    from leanformer.budget import Budget
    from leanformer.encoders.saving import save_model
    from leanformer.methods.problem import Problem
    from leanformer.tasks.encode import encode, longest_input
    from leanformer.tasks.heads import load_model
    from leanformer.tasks.load import load_data
    from leanformer.tasks.split import split_held_out
    from leanformer.training.config import TrainingConfig
    from leanformer.training.finetune import fine_tune

    task_data = load_data(source(cell.task, data))
    folder = home(cell)
    ready = (folder / "teacher" / "config.json").exists()
    torch_seed(cell.seed)
    model, tokenizer, _ = load_model(
        str(folder / "teacher") if ready else models[cell.model], task_data.task, not ready
    )
    longest = longest_input(model, tokenizer, None)
    splits = {"validation": task_data.validation} | (
        {"test": task_data.test} if task_data.test is not None else {}
    )
    encoded = {name: encode(rows, tokenizer, longest, True) for name, rows in splits.items()}
    train, held_out = split_held_out(
        encode(task_data.train, tokenizer, longest, True), encoded["validation"], task_data.task, cell.seed
    )
    facts: dict[str, Any] = {}
    if not ready:
        config = TrainingConfig.for_teacher(len(train), False, cell.seed, model.config.hidden_size)
        result = fine_tune(
            model, tokenizer, task_data.task, train, config, folder / "checkpoints", "Dense teacher"
        )
        facts = {"seconds": result.seconds, "epochs": result.epochs, "config": asdict(config)}
        save_model(model, tokenizer, folder / "partial")
        (folder / "partial").replace(folder / "teacher")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    problem = Problem(
        teacher=model,
        tokenizer=tokenizer,
        task=task_data.task,
        train=train,
        held_out=held_out,
        budget=Budget(cell.ratio or 0.5),
        granularity=cell.granularity,
        seed=cell.seed,
        folder=SCRATCH / "ae_bert" / "cells" / cell.name,
        resume=True,
        cache=folder / "teacher-outputs",
    )
    problem.folder.mkdir(parents=True, exist_ok=True)
    return problem, encoded, facts


def kept(cell: Cell, problem: Any, found: Any) -> dict[str, Any]:
    """Return what a method left of the encoder."""
    from leanformer.encoders.view import EncoderView
    from leanformer.structure.cost import pruning_ratio

    figures: dict[str, Any] = {"ratio": pruning_ratio(EncoderView(problem.teacher), found.masks)}
    if cell.granularity == "unit":
        view = EncoderView(found.model)
        figures["kept"] = [[view.heads(layer), view.width(layer)] for layer in range(view.n_layers)]
    return figures


def answers(cell: Cell, problem: Any, model: Any, splits: dict[str, Any]) -> dict[str, Any]:
    """Return scores and divergences from the dense model on each split."""
    import numpy as np

    from leanformer.encoders.view import EncoderView
    from leanformer.tasks.metrics import divergence
    from leanformer.tasks.predict import predict, score_logits

    scores, divergences = {}, {}
    for name, rows in splits.items():
        dense, logits = dense_answers(cell, problem, name, rows), predict(model, rows, problem.tokenizer)
        scores[name] = asdict(score_logits(logits, np.asarray(rows["label"][:]), problem.task))
        divergences[name] = divergence(dense, logits)
    return {
        "rows": {name: len(rows) for name, rows in splits.items()},
        "scores": scores,
        "divergences": divergences,
        "encoder_parameters": EncoderView(model).encoder_parameters(),
    }


def source(task: str, data: Path) -> Any:
    """Return where a task's rows lie."""
    from leanformer.tasks.load import DataSpec

    if task == "qnli":
        folder = data / "QNLI"
        return DataSpec(
            source=str(folder / "subset10k_train.jsonl"),
            validation=str(folder / "subset10k_dev.jsonl"),
            metric="accuracy",
        )
    return DataSpec(source=task, data_dir=str(data), train_rows=ROWS_OF.get(task))


def torch_seed(seed: int) -> None:
    """Seed what a fresh task head is drawn from."""
    from transformers import set_seed

    set_seed(seed)


if __name__ == "__main__":
    sys.exit(main())
