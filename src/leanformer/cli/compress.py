"""leanformer compress: the main verb."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import Answer, DataOptions, MaxTokens, Seed, Threads, Truncate, Trust, verb

if TYPE_CHECKING:
    from leanformer.job import Job

# The keys of result.json that scripts may rely on.
_RECORD = (
    *(
        "run",
        "method",
        "granularity",
        "task",
        "metric",
        "n",
        "seed",
        "pruning_ratio",
        "pruning_ratio_reached",
    ),
    *("dense", "compressed", "drop_points", "drop_interval", "test", "speedup", "speedup_interval"),
)


@verb
def compress(
    data: DataOptions,
    model: Annotated[
        str | None, typer.Argument(help="A Hugging Face folder or hub id, with or without a task head.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run directory: everything lands in it.")] = Path(
        "leanformer-run"
    ),
    pruning_ratio: Annotated[
        float | None, typer.Option(help="Share of the encoder's weights to remove.", show_default="0.5")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="One that leanformer methods lists.", show_default="ae-bert")
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            help="unit: heads and FFN neurons, a smaller model; weight: zeros.", show_default="unit"
        ),
    ] = None,
    finetune: Annotated[
        bool | None,
        typer.Option("--finetune", help="Fine-tune the dense model first though its head matches."),
    ] = None,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    no_export: Annotated[
        bool | None, typer.Option("--no-export", help="Do not write the ONNX and OpenVINO folders.")
    ] = None,
    quick: Annotated[
        bool | None, typer.Option("--quick", help="A rough answer: fewer epochs, fewer candidates.")
    ] = None,
    seed: Seed = None,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
    job: Annotated[Path | None, typer.Option(help="Repeat the job.toml of another run.")] = None,
    trust_remote_code: Trust = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Who measures candidates: in-process, or ray for several machines.",
            rich_help_panel="Machines",
        ),
    ] = "in-process",
    address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the Ray cluster's head.",
            show_default="this machine's cluster",
            rich_help_panel="Machines",
        ),
    ] = None,
) -> Answer:
    """Compress MODEL for a task, and prove on this machine what it gained and lost.

    The dense model is fine-tuned first if it has no head for the task. Then the search, the training of what is
    left, the exports and the measurements follow; the run directory keeps them all, with report.html on top.

    leanformer compress bert-folder --data reviews/ --pruning-ratio 0.5 --out small

    leanformer compress bert-folder --data mrpc --data-dir glue/MRPC --out small

    leanformer compress --resume --out small
    """
    from leanformer.pipeline import run_job
    from leanformer.search.engines import open_engine

    settings: dict[str, Any] = {
        "model": model,
        "method": method,
        "granularity": granularity,
        "finetune": finetune,
        "truncate": truncate,
        "max_tokens": max_tokens,
        "exports": () if no_export else None,
        "quick": quick,
        "seed": seed,
        "threads": threads,
        "trust_remote_code": trust_remote_code,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    todo = _job(given, data, pruning_ratio, _start(job, out, resume, model))
    with open_engine(engine, address) as opened:
        return answer(run_job(todo, out, resume, engine=opened))


def answer(record: dict[str, Any]) -> Answer:
    """Show a run: before and after, and where everything is.

    Args:
        record: The content of its result.json.

    Returns:
        The keys that scripts may rely on, and the summary.
    """
    from rich.console import Group
    from rich.text import Text

    from leanformer.report.table import summary_table

    folder = Path(record["run"])
    exported = {row["runtime"]: folder / row["path"] for row in record["exports"] if row["accepted"]}
    places = {"report": folder / "report.html", "model": folder / "model", **exported}
    lines = [f"{name:<12} {place}" for name, place in places.items()] + [f"{'again':<12} {record['command']}"]
    shown = Group(summary_table(record), Text("\n".join(lines), no_wrap=True, overflow="ignore"))
    return Answer({key: record[key] for key in _RECORD}, shown)


def _start(job_file: Path | None, out: Path, resume: bool, model: str | None) -> Job | None:
    """Return the job that the given options change: a file's, or that of the run to resume."""
    from leanformer.job import Job
    from leanformer.run import Run, is_run

    if job_file is not None:
        return Job.from_toml(job_file)
    return Run.open(out).job if resume and (is_run(out) or model is None) else None


def _job(given: dict[str, Any], data: DataOptions, pruning_ratio: float | None, start: Job | None) -> Job:
    from leanformer.budget import Budget
    from leanformer.errors import DataError, ModelError
    from leanformer.job import Job
    from leanformer.tasks.load import DataSpec

    if pruning_ratio is not None:
        given = {**given, "budget": Budget(pruning_ratio)}
    if start is not None:
        return replace(start, **given, data=replace(start.data, **data)).resolved()
    if "model" not in given:
        raise ModelError("no model is given: name a Hugging Face folder or hub id before the options")
    if "source" not in data:
        raise DataError("no data are given: add --data with a folder, a file, a GLUE task or a hub id")
    return Job(**given, data=DataSpec(**data)).resolved()
