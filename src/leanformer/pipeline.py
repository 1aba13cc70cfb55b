"""One run, from a job to a report: which stage comes after which, and what each leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.costing import check_reachable, pace_of, price_facts, price_from, serving_of
from leanformer.errors import RunError
from leanformer.job import AUTO, Job
from leanformer.methods.kinds import check_kind
from leanformer.methods.registry import find_method
from leanformer.progress import say
from leanformer.record import layer_facts, result_of, write_record
from leanformer.report.page import read_result
from leanformer.run import Facts, Run
from leanformer.search.engines import Engine, default_engine
from leanformer.training import processes
from leanformer.training.threads import use_threads

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from leanformer.exports import Examples
    from leanformer.methods.problem import Problem
    from leanformer.search.pricing import Price
    from leanformer.tasks.task import Task

COPIES_ON_DISK = 14  # teacher and model, each as torch, ONNX, OpenVINO and two int8; two training checkpoints
TEACHER_STATES = 4  # hidden states kept for distillation, two bytes a value

SERVED_KEYS = ("runtime", "precision", "form")

DATA_STAGE = "data"
PRICE_STAGE = "latency table"
TEACHER_STAGE = "dense teacher"
COMPRESS_STAGE = "search and recovery"
REPORT_STAGE = "report"


@dataclass(frozen=True)
class Material:
    """Everything a run reads, loaded and encoded.

    Attributes:
        problem: What the method is given.
        examples: The rows that the report is measured on.
        test: Further labelled rows, encoded, where there are any.
        is_ready: Whether the model has a head that matches the data and is to be used as it is.
        judged_on: "train" or "validation": whose slice the method judges its models on.
        price: What time costs, under a budget of time.
    """

    problem: Problem
    examples: Examples
    test: Dataset | None
    is_ready: bool
    judged_on: str
    price: Price | None


class Follower(Run):
    """A run as the other processes of `accelerate launch` see it: they do their part, and write and note nothing."""

    def stage(self, name: str, work: Callable[[Path], Facts], artefact: str | None = None) -> Facts:
        """Take part in a stage; see `Run.stage`."""
        noted = self.finished(name)
        return work(self.folder / f".{artefact or name}.partial") if noted is None else noted


def run_job(
    job: Job,
    out: Path,
    resume: bool = False,
    write_data: Callable[[Path], Facts] | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Do a job, or what an interrupted run has left to do.

    Args:
        job: The resolved job.
        out: The run directory.
        resume: Whether to go on with the run that `out` holds, if any.
        write_data: Writes the job's data into the run's own `data` folder first, where they are made and not given.
        engine: Who measures the search's candidates; this process by default. It is no part of the job: the result
            is the same, and a run may go on with another one.

    Returns:
        The content of result.json.

    Raises:
        LeanformerError: If the job, the data, the model or the folder can not be used. What this call created is
            removed, unless a stage is finished.
    """
    with ExitStack() as opened:
        with processes.leader_first() as leads:
            run = opened.enter_context(Run.create(out, job, resume)) if leads else Follower.open(out)
            if write_data is not None:
                run.stage(DATA_STAGE, write_data, "data")
        if run.finished(REPORT_STAGE) is None:
            with processes.leader_first():
                material = _prepare(run, engine or default_engine())
            _do(run, material)
        processes.end_followers()
        return read_result(run.folder)


def fine_tune_dense(job: Job, out: Path, resume: bool = False, other: Path | None = None) -> Facts:
    """Do the first part of a job alone: its dense model, fine-tuned where it needs it.

    Args:
        job: The resolved job.
        out: The run directory; the model is its `teacher`.
        resume: Whether to go on with the run that `out` holds, if any.
        other: A run of the same model and data under another budget, whose dense model is copied; None fine-tunes it
            here.

    Returns:
        The facts of that stage: whether it was fine-tuned; if so, seconds, epochs and curve.

    Raises:
        LeanformerError: As `run_job` does, and if the other run has no such dense model.
    """
    with Run.create(out, job, resume) as run:
        noted = run.finished(TEACHER_STAGE)
        if noted is None and other is not None:
            return _copy_teacher(run, Run.open(other))
        return _fine_tune_teacher(run, _prepare(run, default_engine())) if noted is None else noted


def _do(run: Run, material: Material) -> None:
    """Go through the stages; those that are done are skipped."""
    from leanformer.limits import limit_facts
    from leanformer.proof import prove

    teaching = _fine_tune_teacher(run, material)
    processes.wait_for_leader()
    dense = _saved(run.artefact("teacher"), material)
    problem = replace(
        material.problem,
        teacher=dense,
        pace=pace_of(run.job, material, dense),
        serving=serving_of(run.job, material.problem, dense),
    )
    compression = run.stage(COMPRESS_STAGE, lambda target: _compress(run.job, problem, target), "model")
    processes.end_followers()
    use_threads(run.job.threads)
    _clear_scratch(run)
    small = _saved(run.artefact("model"), material)
    proof = prove(run, dense, small, material.examples, material.test, compression.get("serve"))
    limits = limit_facts(run, (dense, small), problem, compression.get("serve"))
    facts = {**proof, "limits": limits, "judged_on": material.judged_on}
    run.stage(
        REPORT_STAGE, lambda _: write_record(run, result_of(run, problem.task, teaching, compression, facts))
    )


def _prepare(run: Run, engine: Engine) -> Material:
    """Load and encode everything, and refuse what can not work before anything is computed."""
    from transformers import set_seed

    from leanformer.exports import Examples
    from leanformer.measure.harm import watch_of
    from leanformer.methods.problem import Problem
    from leanformer.tasks.encode import encode, longest_input
    from leanformer.tasks.heads import load_model
    from leanformer.tasks.judged import examples_in
    from leanformer.tasks.load import load_data
    from leanformer.tasks.split import split_held_out, split_validation

    job = run.job
    use_threads(max(1, job.threads // processes.local_count()))
    set_seed(job.seed)
    data = load_data(job.data)
    say(data.description)
    check_kind(job.method, data.task.kind)
    _note_embedder(job, data.task)
    model, tokenizer, has_head = load_model(job.model, data.task, job.finetune, job.trust_remote_code)
    longest = longest_input(model, tokenizer, job.max_tokens)
    encoded = {
        split: encode(rows, tokenizer, longest, job.truncate)
        for split, rows in (("train", data.train), ("validation", data.validation), ("test", data.test))
        if rows is not None
    }
    train, held_out = split_held_out(encoded["train"], encoded["validation"], data.task, job.seed)
    is_ready, validation = has_head and not job.finetune, encoded["validation"]
    judged_on = "validation" if is_ready and job.method == AUTO else "train"
    if judged_on == "validation":
        validation, held_out = split_validation(validation, data.task, job.seed)
        judging, reported = (examples_in(rows, data.task) for rows in (held_out, validation))
        say(
            f"the model arrives trained, perhaps on these training rows: {judging} validation rows judge "
            f"what it loses, and the report is of the other {reported}; --finetune trains it here first"
        )
    watch = watch_of(job.budget, held_out, tokenizer, data.task, longest)
    problem = Problem(
        teacher=model,
        tokenizer=tokenizer,
        task=data.task,
        train=train,
        held_out=held_out,
        budget=job.budget,
        granularity=job.granularity,
        options=job.options,
        seed=job.seed,
        folder=run.artefact("search"),
        resume=True,
        quick=job.quick,
        engine=engine,
        judges_trained=watch is not None,
        watch=watch,
    )
    noted = run.finished(PRICE_STAGE)
    known = {} if job.method == AUTO else noted  # auto measures when it needs to
    facts = price_facts(job, problem) if known is None else known
    price = price_from(facts)
    check_reachable(job, problem, price)
    if price is not None:
        run.stage(PRICE_STAGE, lambda _: facts)
    run.require_disk(_needed_mb(problem, encoded["train"]))
    examples = Examples(data.task, tokenizer, validation, held_out)
    return Material(problem, examples, encoded.get("test"), is_ready, judged_on, price)


def _note_embedder(job: Job, task: Task) -> None:
    """Say what else could be meant by pairs with a score and a model of sentence embeddings."""
    from leanformer.encoders.sentence import MODULES_FILE
    from leanformer.tasks.sources import local_path

    is_embedder = (local_path(job.model) / MODULES_FILE).is_file()
    if is_embedder and job.data.kind is None and task.pair and task.kind == "regression":
        say(
            f"{job.model} is a model of sentence embeddings, and is taken as the encoder of a model that reads both "
            "texts at once: --kind embedding compresses its embeddings"
        )


def _saved(folder: Path, material: Material) -> PreTrainedModel:
    """Load a model that the run has saved: the same after a resume as before it."""
    from leanformer.tasks.heads import load_model

    return load_model(str(folder), material.problem.task, finetune=False)[0]


def _needed_mb(problem: Problem, train: Dataset) -> float:
    model = problem.teacher
    tokens = sum(len(ids) for ids in train["input_ids"][:])
    copies = COPIES_ON_DISK * sum(parameter.numel() * 4 for parameter in model.parameters())
    states = TEACHER_STATES * 2 * tokens * model.config.hidden_size
    return (copies + states) / 1e6


def _fine_tune_teacher(run: Run, material: Material) -> Facts:
    """Fine-tune the dense model where it needs it, and keep it."""
    checkpoints = run.folder / ".teacher-checkpoints"

    def work(target: Path) -> Facts:
        from leanformer.encoders.saving import save_model

        facts = {} if material.is_ready else _train_teacher(material.problem, checkpoints)
        if processes.leads():
            save_model(material.problem.teacher, material.problem.tokenizer, target)
        return {"fine_tuned": not material.is_ready, **facts}

    facts = run.stage(TEACHER_STAGE, work, "teacher")
    if processes.leads():
        shutil.rmtree(checkpoints, ignore_errors=True)
    return facts


def _copy_teacher(run: Run, other: Run) -> Facts:
    """Take the dense model of another run over."""
    noted = other.finished(TEACHER_STAGE)
    if noted is None:
        raise RunError(f"{other.folder} has no dense model yet: go on with it by --resume first")
    unlike = [line for line in run.job.differences(other.job) if not line.startswith("budget.")]
    if unlike:
        raise RunError(
            f"the dense model of {other.folder} is not the one that is asked for, it differs in {', '.join(unlike)}: "
            "give the same settings, but for the ratio"
        )

    def work(target: Path) -> Facts:
        shutil.copytree(other.artefact("teacher"), target)
        return noted

    return run.stage(TEACHER_STAGE, work, "teacher")


def _train_teacher(problem: Problem, checkpoints: Path) -> Facts:
    from leanformer.training.config import TrainingConfig
    from leanformer.training.finetune import fine_tune

    width = problem.teacher.config.hidden_size
    config = TrainingConfig.for_teacher(len(problem.train), problem.quick, problem.seed, width)
    result = fine_tune(
        problem.teacher, problem.tokenizer, problem.task, problem.train, config, checkpoints, "Dense teacher"
    )
    return {"seconds": result.seconds, "epochs": result.epochs, "curve": list(result.curve)}


def _compress(job: Job, problem: Problem, target: Path) -> Facts:
    """Run the method and keep its model."""
    from leanformer.encoders.saving import save_model
    from leanformer.encoders.view import EncoderView
    from leanformer.structure.cost import macs_share, pruning_ratio

    problem.folder.mkdir(exist_ok=True)
    found = find_method(job.method, job.granularity).run(problem)
    view = EncoderView(problem.teacher)
    told = found.removed_share is None  # by the masks
    door = save_model(found.model, problem.tokenizer, target) if processes.leads() else None
    for name, model in found.companions.items() if processes.leads() else ():
        save_model(model, problem.tokenizer, target / "tasks" / name)
    return {
        "door": door,
        "pruning_ratio_reached": pruning_ratio(view, found.masks, job.granularity)
        if told
        else found.removed_share,
        "macs_share": macs_share(view, found.masks, problem.mean_tokens) if told else found.macs_share,
        "layers": layer_facts(view, found.masks),
        "search": found.search,
        "training": found.training,
        "heads": found.heads,
        "attack": found.attack,
        "exits": found.exits,
        "tasks": found.tasks,
        "ladder": found.ladder,
        "serve": None if found.serve is None else dict(zip(SERVED_KEYS, found.serve, strict=True)),
    }


def _clear_scratch(run: Run) -> None:
    """Remove the method's checkpoints once its model is safe; the journal, a file, stays."""
    for path in run.artefact("search").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
