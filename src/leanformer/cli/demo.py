"""leanformer demo: the whole way on a real model and real text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import Answer, Seed, Threads, verb

if TYPE_CHECKING:
    from leanformer.job import Job

LIMIT_S = 20.0  # of timing a batch size: wider intervals, for a demo within a quarter of an hour


@verb
def demo(
    out: Annotated[Path, typer.Option(help="The run directory: everything lands in it.")] = Path(
        "leanformer-demo"
    ),
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fewer rows, epochs and candidates: under 3 minutes on 2 cores."),
    ] = False,
    seed: Seed = None,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted demo in --out.")
    ] = False,
) -> Answer:
    """Compress MiniLM for film reviews: half of its encoder goes, everything is measured, nothing is downloaded.

    The model and the Rotten Tomatoes sentences come with the extra "demo". About 15 minutes on 2 cores. It exports to
    ONNX alone, for the sake of these minutes; leanformer export leanformer-demo --format openvino writes the other.

    leanformer demo --quick
    """
    from leanformer.cli.compress import answer
    from leanformer.demo import write_rotten_tomatoes
    from leanformer.pipeline import run_job
    from leanformer.progress import say

    job = _job(out, quick, {"seed": seed, "threads": threads})
    if _is_finished(out, job):
        say(f"{out} holds this demo, finished: here is its result; to run it again give another --out")
        resume = True
    record = run_job(job, out, resume, lambda folder: write_rotten_tomatoes(folder, quick))
    return replace(answer(record), exit_code=0)  # a demonstration has succeeded, whatever it shows


def _is_finished(out: Path, job: Job) -> bool:
    from leanformer.pipeline import REPORT_STAGE
    from leanformer.run import Run, is_run

    if not is_run(out):
        return False
    run = Run.open(out)
    return run.job == job and run.finished(REPORT_STAGE) is not None


def _job(out: Path, quick: bool, settings: dict[str, Any]) -> Job:
    from leanformer.demo import TASK, model_folder
    from leanformer.job import Job
    from leanformer.tasks.load import DataSpec

    given = {name: value for name, value in settings.items() if value is not None}
    given |= {} if quick else {"limit_s": LIMIT_S}
    data = DataSpec(str(out.resolve() / "data" / TASK))
    return Job(str(model_folder()), data, method="ae-bert", quick=quick, exports=("onnx",), **given)
