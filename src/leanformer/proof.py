"""What a run measures, once its model is there: scores side by side, flips, exports, speed; and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.audit.cheap import cheap_audit
from leanformer.encoders.forms import PLAIN
from leanformer.encoders.view import EncoderView
from leanformer.export.exporters import remove_int8
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.exports import Examples, installed, write_exports
from leanformer.measure.bench import BATCHES, ROUNDS, bench
from leanformer.measure.flips import cosine_changes, flips
from leanformer.measure.gain import gains
from leanformer.measure.machine import machine
from leanformer.measure.statistics import paired_drop
from leanformer.progress import say
from leanformer.record import model_facts, speed_facts
from leanformer.report.runtimes import FALLEN_POINTS, kept_rows
from leanformer.run import Facts, Run
from leanformer.structure.cost import size_mb
from leanformer.tasks.judged import examples_in, labels_of
from leanformer.tasks.predict import predict, score_logits

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from leanformer.tasks.task import Task

SCORE_STAGE, SPEED_STAGE, SERVED_STAGE = "scores", "speed", "served"
EXPORT_STAGES = {"onnx": "ONNX", "openvino": "OpenVINO"}
SHOWN_FLIPS = 200
QUICK_ROUNDS, QUICK_LIMIT_S = 6, 5.0


def prove(
    run: Run,
    dense: PreTrainedModel,
    small: PreTrainedModel,
    examples: Examples,
    test: Dataset | None,
    serve: Facts | None = None,
) -> Facts:
    """Measure the compressed model of a run beside the dense one.

    Args:
        run: A run whose `teacher` and `model` are there.
        dense: The dense model.
        small: The compressed one.
        examples: Validation rows, read here for the first time, and training rows for calibration.
        test: Further labelled rows, where there are any.
        serve: In which runtime, precision and form the method wants its model to be served, where it says so.

    Returns:
        Facts with the keys of result.json: scores, drop, flips, bias, exports, bench, speedup, gain, machine. Where
        there are test rows and an exported file is served, "test" holds the score of that file under "served".
    """
    scores = run.stage(SCORE_STAGE, lambda _: _scores(run, dense, small, examples, test))
    forms = list(dict.fromkeys([PLAIN, *([serve["form"]] if serve else [])]))
    exports = [row for folder in run.job.exports for row in _exports(run, folder, examples, forms)]
    speed = run.stage(SPEED_STAGE, lambda _: _speed(run, examples, exports, forms))
    proof = {**scores, "exports": exports, **speed}
    if test is not None and serve and _is_kept(serve, exports):
        served = run.stage(SERVED_STAGE, lambda _: _served_on_test(run, dense, examples, test, serve))
        proof["test"] = {**proof["test"], "served": served}
    return proof


def _scores(
    run: Run, dense: PreTrainedModel, small: PreTrainedModel, examples: Examples, test: Dataset | None
) -> Facts:
    task, rows = examples.task, examples.validation
    before = predict(dense, rows, examples.tokenizer, stage="Score of the dense model")
    after = predict(small, rows, examples.tokenizer, stage="Score of the compressed model")
    labels = labels_of(rows)
    found = flips(before, after, rows, task)
    drop, low, high = paired_drop(task.metric, before, after, labels, seed=run.job.seed)
    moved = {"cosine_change": cosine_changes(before, after)} if task.kind == "embedding" else {}
    return {
        "n": examples_in(rows, task),
        "dense": _model(dense, before, labels, task, run.artefact("teacher")),
        "compressed": _model(small, after, labels, task, run.artefact("model")),
        "drop_points": drop,
        "drop_interval": [low, high],
        "bias": cheap_audit(
            (dense, small), (before, after), rows, examples.tokenizer, task, run.job.max_tokens
        ),
        "test": None if test is None else _on_test(run, dense, small, examples, test),
        "flips": [asdict(flip) for flip in found[:SHOWN_FLIPS]],
        "flips_total": len(found),
        **moved,
    }


def _model(model: PreTrainedModel, logits: np.ndarray, labels: np.ndarray, task: Task, folder: Path) -> Facts:
    return model_facts(EncoderView(model), score_logits(logits, labels, task), size_mb(folder))


def _on_test(
    run: Run, dense: PreTrainedModel, small: PreTrainedModel, examples: Examples, test: Dataset
) -> Facts:
    metric, labels = examples.task.metric, labels_of(test)
    before = predict(dense, test, examples.tokenizer, stage="Test score of the dense model")
    after = predict(small, test, examples.tokenizer, stage="Test score of the compressed model")
    _, low, high = paired_drop(metric, before, after, labels, seed=run.job.seed)
    scores = [score_logits(logits, labels, examples.task).value for logits in (before, after)]
    there = examples_in(test, examples.task)
    return {"n": there, "dense": scores[0], "compressed": scores[1], "drop_interval": [low, high]}


def _is_kept(serve: Facts, exports: Sequence[Facts]) -> bool:
    """Whether what is served is a file that was kept: PyTorch's own answers are on record anyway."""
    return any(row["accepted"] and all(row[key] == serve[key] for key in serve) for row in exports)


def _served_on_test(
    run: Run, dense: PreTrainedModel, examples: Examples, test: Dataset, serve: Facts
) -> Facts:
    """Score the file that is served on the test rows: int8 answers otherwise than PyTorch."""
    metric, labels = examples.task.metric, labels_of(test)
    say("the test rows are answered by what is served")
    before = predict(dense, test, examples.tokenizer)
    runner = load_runner(
        run.folder, serve["runtime"], serve["precision"], threads=run.job.threads, form=serve["form"]
    )
    after = predict_with(runner, test, examples.tokenizer)
    drop, low, high = paired_drop(metric, before, after, labels, seed=run.job.seed)
    return {
        "score": score_logits(after, labels, examples.task).value,
        "drop_points": drop,
        "drop_interval": [low, high],
    }


def _exports(run: Run, folder: str, examples: Examples, forms: Sequence[str]) -> list[dict[str, Any]]:
    """Export to one runtime; a runtime that is not installed is said, not silently left out."""
    if not installed(folder):
        say(f'no {EXPORT_STAGES[folder]} export: install it with pip install "leanformer[{folder}]"')
        return []
    model = run.artefact("model")

    def work(_: Path) -> Facts:
        bound = run.job.budget.max_drop_points
        most = FALLEN_POINTS if bound is None else bound
        written = [write_exports(model, run.folder, folder, True, examples, form, most) for form in forms]
        return {"rows": [row for rows in written for row in rows]}

    rows: list[dict[str, Any]] = run.stage(EXPORT_STAGES[folder], work)["rows"]
    return rows


def _batches(run: Run, examples: Examples) -> list[int]:
    """Return the usual batch sizes and the target's, as far as there are texts to fill them."""
    sizes = sorted({*BATCHES, run.job.target.batch})
    return [size for size in sizes if size <= len(examples.validation)]


def _speed(run: Run, examples: Examples, exports: list[dict[str, Any]], forms: Sequence[str]) -> Facts:
    """Time both models side by side; nothing is timed where the job wants scores only."""
    if not run.job.timing:
        return {"bench": [], **speed_facts([]), "gain": {}, "machine": machine(run.job.threads)}
    runtimes = ["torch", *dict.fromkeys(row["runtime"] for row in exports)]
    rows = bench(
        {"dense": run.artefact("teacher"), "compressed": run.artefact("model")},
        examples.validation,
        examples.tokenizer,
        examples.task,
        runtimes=runtimes,
        batches=_batches(run, examples),
        threads=run.job.threads,
        rounds=QUICK_ROUNDS if run.job.quick else ROUNDS,
        seed=run.job.seed,
        artefacts={"compressed": run.folder},
        calibration=examples.calibration,
        limit_s=QUICK_LIMIT_S if run.job.limit_s is None and run.job.quick else run.job.limit_s,
        forms=forms,
    )
    for row in exports:
        if not row["accepted"]:
            # the bench has made it again, to time it
            remove_int8(run.folder, row["runtime"], row.get("form", PLAIN))
    table = [asdict(row) for row in rows]
    kept = kept_rows({"bench": table, "exports": exports})
    gain = {batch: asdict(one) for batch, one in gains(kept, run.job.seed).items()}
    return {"bench": table, **speed_facts(table), "gain": gain, "machine": machine(run.job.threads)}
