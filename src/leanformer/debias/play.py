"""A debiasing from what was asked to the page; what is finished is never done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from leanformer import __version__
from leanformer.debias.job import PAGE, RECORD, DebiasJob, DebiasRun
from leanformer.errors import DataError, RunError
from leanformer.measure.machine import machine
from leanformer.methods.debias_registry import MOVEMENT
from leanformer.training import processes
from leanformer.training.threads import use_threads

Facts = dict[str, Any]
REPORT_STAGE = "report"


def debias(job: DebiasJob, out: Path, resume: bool = False) -> Facts:
    """Do a job, or what an interrupted run has left to do.

    Args:
        job: The resolved job.
        out: The run directory.
        resume: Whether to go on with the run that `out` holds, if any.

    Returns:
        The content of debias.json.

    Raises:
        LeanformerError: If the job, the data, the model or the folder can not be used. What this call created is
            removed, unless a stage is finished.
    """
    if processes.count() > 1:
        raise RunError("debias runs in one process: start it without a launcher")
    if not Path(job.corpus).is_file():
        raise DataError(f"there is no text {job.corpus}: give --corpus a file with English text")
    with DebiasRun.create(out, job, resume) as run:
        if run.finished(REPORT_STAGE) is None:
            use_threads(job.threads)
            facts = _method(job)(run)
            run.clear(run.folder / ".checkpoints")
            run.stage(REPORT_STAGE, lambda _: _write(run, facts))
    record: Facts = json.loads(run.artefact(RECORD).read_text(encoding="utf-8"))
    return record


def _method(job: DebiasJob) -> Callable[[DebiasRun], Facts]:
    if job.method == MOVEMENT:
        from leanformer.debias.movement import debias_movement

        return debias_movement
    from leanformer.debias.distillation import fair_distillation

    return fair_distillation


def _write(run: DebiasRun, facts: Facts) -> Facts:
    from leanformer.report.debias_page import debias_page

    job = run.asked
    record = {
        "run": str(run.folder),
        "version": __version__,
        "created": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "command": job.command(run.folder),
        "model": job.model,
        "corpus": job.corpus,
        "method": job.method,
        "granularity": job.granularity,
        "options": dict(job.options),
        "seed": job.seed,
        "max_drop_points": job.max_drop_points,
        **facts,
        "stages": run.stages(),
        "machine": machine(job.threads),
    }
    run.write(RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    run.write(PAGE, debias_page(record))
    return {}
