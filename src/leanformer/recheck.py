"""A finished run measured again, in the terms of its contract."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from leanformer.errors import RunError
from leanformer.export.layout import artefact
from leanformer.export.loading import load_classifier
from leanformer.job import resolved_data
from leanformer.limits import held_against, served_answer
from leanformer.measure.bench import ROUNDS, Variant, bench, check_sizes
from leanformer.measure.check import Measured, Term, compare
from leanformer.measure.contract import Contract, Speed, read_contract
from leanformer.measure.flips import flips
from leanformer.measure.harm import watch_of
from leanformer.measure.machine import machine
from leanformer.progress import say
from leanformer.reading import Reading, ready_model
from leanformer.report.page import read_result
from leanformer.run import Run
from leanformer.structure.cost import size_mb
from leanformer.tasks.encode import longest_input
from leanformer.tasks.judged import examples_in, labels_of
from leanformer.tasks.predict import predict, score_logits
from leanformer.tasks.split import split_validation
from leanformer.tasks.task import DISCRETE

if TYPE_CHECKING:
    from datasets import Dataset

    from leanformer.exports import Examples
    from leanformer.tasks.load import TaskData

MACHINE_FACTS = ("cpu", "architecture", "flags", "threads")  # those that a speed depends on most


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        terms: One a bound.
        kept: Whether all are kept.
        n: Rows that the score was measured on now.
        same_machine: Whether processor and threads are those of the contract.
        machine: The facts of this machine.
    """

    terms: tuple[Term, ...]
    kept: bool
    n: int
    same_machine: bool
    machine: dict[str, Any]


def check_run(folder: Path, reading: Reading, rounds: int = ROUNDS, limit_s: float | None = None) -> Check:
    """Score and time a run's model again, and hold it against the run's contract.

    The threads are those of the run, unless others are given. Only the variants that the contract names are timed,
    and the dense model in PyTorch fp32, which they are compared with.

    Args:
        folder: The run directory.
        reading: The data; by default those of the run.
        rounds: How often each variant is timed, at least.
        limit_s: Seconds of timing a batch size; 60 by default.

    Returns:
        Every bound, with the figures then and now.

    Raises:
        RunError: If the folder is no run, or has no contract.
        LeanformerError: If the data or a model can not be used, or a runtime is not installed.
    """
    check_sizes([1], rounds)
    contract = read_contract(folder)
    run = Run.open(folder)
    threads = reading.threads or run.job.threads
    reading = replace(reading, threads=threads).beside(str(folder))
    here = machine(threads)
    same_machine = all(contract.machine.get(fact) == here[fact] for fact in MACHINE_FACTS)
    if not same_machine:
        say(
            f"the contract was measured on another machine ({contract.machine.get('cpu')}, "
            f"{contract.machine.get('threads')} threads): its speeds need not hold on this one"
        )
    data = reading.load(str(folder))
    now = _measure(run, contract, data, reading, rounds, limit_s)
    if now.n != contract.n:
        say(f"the contract's score is of {contract.n} rows, the one now of {now.n}")
    terms = tuple(compare(contract, now))
    return Check(terms, all(term.kept for term in terms), now.n, same_machine, here)


def _measure(
    run: Run, contract: Contract, data: TaskData, reading: Reading, rounds: int, limit_s: float | None
) -> Measured:
    torch.set_num_threads(reading.threads or run.job.threads)
    with tempfile.TemporaryDirectory(prefix="leanformer-check-") as scratch:
        folders = {"dense": Path(scratch) / "dense", "compressed": Path(scratch) / "compressed"}
        ready_model(str(run.artefact("teacher")), data, reading, folders["dense"])
        _, examples = ready_model(
            str(run.artefact("model")), data, reading, folders["compressed"], run.job.seed
        )
        examples, held_out = _reported(run, examples)
        answers = {name: _answers(path, name, examples) for name, path in folders.items()}
        rows, task = examples.validation, data.task
        changed = flips(answers["dense"], answers["compressed"], rows, task)
        return Measured(
            score=score_logits(answers["compressed"], labels_of(rows), task).value,
            n=examples_in(rows, task),
            flips=len(changed) if task.kind in DISCRETE else None,
            size_mb=size_mb(run.artefact("model")),
            speeds=_speeds(run, contract, folders, examples, reading, rounds, limit_s),
            limits=_limits(run, contract, folders, replace(examples, validation=held_out)),
        )


def _reported(run: Run, examples: Examples) -> tuple[Examples, Dataset]:
    """Leave out the validation rows that the run has judged its models on; return the rows that it did judge on, too.

    The contract's score is of the former, its limits on what may change are of the latter.
    """
    if read_result(run.folder).get("judged_on") != "validation":
        return examples, examples.calibration
    rows, held_out = split_validation(examples.validation, examples.task, run.job.seed)
    return replace(examples, validation=rows), held_out


def _limits(run: Run, contract: Contract, folders: Mapping[str, Path], held: Examples) -> dict[str, float]:
    """Measure again what the budget limits of changes, on the held-out rows and where the model is served."""
    if not contract.limits:
        return {}
    (dense, _), (small, _) = (load_classifier(folders[name]) for name in ("dense", "compressed"))
    longest = longest_input(small, held.tokenizer, run.job.max_tokens)
    watch = watch_of(run.job.budget, held.validation, held.tokenizer, held.task, longest)
    if watch is None:
        raise RunError(
            f"{run.folder}'s contract limits what may change, and its job does not: give the run's own contract"
        )
    target = read_result(run.folder)["budget"]
    answer = served_answer(run, small, held.tokenizer, target)
    if answer is None:
        raise RunError(
            f"{run.folder} no longer holds the file that it serves ({target['runtime']} {target['precision']}): run "
            "leanformer export on it"
        )
    found = held_against(watch, held.validation, dense, answer, held.tokenizer)
    return {name: one["value"] for name, one in found.items()}


def _answers(folder: Path, name: str, examples: Examples) -> np.ndarray:
    model, _ = load_classifier(folder)
    return predict(model, examples.validation, examples.tokenizer, stage=f"Answers of the {name} model")


def _speeds(
    run: Run,
    contract: Contract,
    folders: Mapping[str, Path],
    examples: Examples,
    reading: Reading,
    rounds: int,
    limit_s: float | None,
) -> tuple[Speed, ...]:
    """Time the contract's variants; at each batch size all of them take part, as they did then."""
    if not contract.speeds:
        return ()
    variants = list(dict.fromkeys((speed.runtime, speed.precision, speed.form) for speed in contract.speeds))
    kept = _exports_are_there(run, variants, reading)
    rows = bench(
        folders,
        examples.validation,
        examples.tokenizer,
        examples.task,
        batches=list(dict.fromkeys(speed.batch for speed in contract.speeds)),
        threads=reading.threads,
        rounds=rounds,
        seed=run.job.seed,
        artefacts={"compressed": run.folder} if kept else {},
        calibration=examples.calibration,
        limit_s=limit_s,
        variants={"compressed": variants},
    )
    return tuple(
        Speed(row.batch, row.runtime, row.precision, row.ratio, row.ratio_low, row.ratio_high, row.form)
        for row in rows
        if row.model == "compressed"
    )


def _exports_are_there(run: Run, variants: list[Variant], reading: Reading) -> bool:
    """Whether the run's own exports can be timed; else they are made anew, beside the run."""
    files = [artefact(run.folder, *variant) for variant in variants if variant[0] != "torch"]
    same_data = reading.spec is not None and resolved_data(reading.spec) == run.job.data
    if missing := [file for file in files if not file.is_file()]:
        say(f"{missing[0]} is gone: what is timed is exported anew")
    return same_data and not missing
