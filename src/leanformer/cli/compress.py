"""leanformer compress: the main verb."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.exit_codes import exit_code
from leanformer.cli.verb import (
    Address,
    Answer,
    DataOptions,
    Engine,
    Limit,
    MaxTokens,
    Seed,
    Threads,
    Truncate,
    Trust,
    options_given,
    verb,
)

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


def _budget(text: str, default: str | None = None) -> Any:
    """Return a Typer option of the budget panel."""
    return typer.Option(help=text, show_default=default or False, rich_help_panel="Budget")


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
        float | None,
        _budget(
            "Share of the encoder's weights to remove.", "0.5, where nothing is limited and a method is named"
        ),
    ] = None,
    speedup: Annotated[float | None, _budget("Times faster than the dense model in PyTorch.")] = None,
    latency_ms: Annotated[float | None, _budget("Most milliseconds of a batch on the target.")] = None,
    size_mb: Annotated[
        float | None, _budget("Most megabytes of the weights: in float32, with auto of the file to serve.")
    ] = None,
    macs_share: Annotated[
        float | None,
        _budget("Most multiply-accumulates, as a share of the dense encoder's: no measure of time."),
    ] = None,
    max_drop: Annotated[
        float | None,
        _budget("Most points of score that may be lost.", "1 with auto, yet what you ask for goes first"),
    ] = None,
    max_flips: Annotated[
        float | None, _budget("Most percent of the held-out answers that may be others than before.")
    ] = None,
    max_bias_increase: Annotated[
        float | None, _budget("Most by which what a swap of genders changes in answers may grow.")
    ] = None,
    target_runtime: Annotated[
        str | None,
        _budget(
            "Where it is served: torch, onnxruntime or openvino.",
            "the fastest; PyTorch fp32 with another method",
        ),
    ] = None,
    target_precision: Annotated[str | None, _budget("fp32, bf16 or int8.", "as above")] = None,
    target_batch: Annotated[int | None, _budget("Texts a batch.", "1")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="One that leanformer methods lists.", show_default="auto, the cheapest step that will do"
        ),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            help="unit: heads and FFN neurons, a smaller model; weight: zeros.",
            show_default="the method's first",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, a setting of the method's own; leanformer methods lists them."),
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
    no_timing: Annotated[
        bool | None, typer.Option("--no-timing", help="Scores only: measure no speed at the end.")
    ] = None,
    quick: Annotated[
        bool | None, typer.Option("--quick", help="A rough answer: fewer epochs, fewer candidates.")
    ] = None,
    limit: Limit = None,
    seed: Seed = None,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
    job: Annotated[Path | None, typer.Option(help="Repeat the job.toml of another run.")] = None,
    trust_remote_code: Trust = None,
    engine: Engine = "in-process",
    address: Address = None,
) -> Answer:
    """Compress MODEL for a task, and prove on this machine what it gained and lost.

    The dense model is fine-tuned first if it has no head for the task. Then the search, the training of what is
    left, the exports and the measurements follow; the run directory keeps them all, with report.html on top.

    Exit code 1 says that the model is there, but a limit of the budget is missed, or could not be measured on the
    target; 3, that it gains nothing over the best plain variant of the dense one (never with --method auto, which may
    choose that variant itself); 2 is an error. A missed budget goes before no gain. The measured figure decides, not
    its interval.

    leanformer compress bert-folder --data reviews/ --speedup 6 --max-drop 1 --out fast

    leanformer compress bert-folder --data reviews/ --method ae-bert --pruning-ratio 0.5 --out small

    leanformer compress bert-folder --data mrpc --data-dir glue/MRPC --speedup 3 --target-runtime onnxruntime

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
        "timing": False if no_timing else None,
        "quick": quick,
        "limit_s": limit,
        "seed": seed,
        "threads": threads,
        "trust_remote_code": trust_remote_code,
        "options": options_given(option),
    }
    limits = {
        "pruning_ratio": pruning_ratio,
        "speedup": speedup,
        "latency_ms": latency_ms,
        "size_mb": size_mb,
        "max_drop_points": max_drop,
        "macs_share": macs_share,
        "max_flips_percent": max_flips,
        "max_bias_increase": max_bias_increase,
    }
    served = {"runtime": target_runtime, "precision": target_precision, "batch": target_batch}
    asked = _Asked(_given(settings), data, _given(limits), _given(served))
    todo = _job(asked, _start(job, out, resume, model))
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

    from leanformer.report.bias import bias_sentence
    from leanformer.report.ladder_table import ladder_table
    from leanformer.report.runtimes import gain_sentences
    from leanformer.report.served import end_words, nothing_removed
    from leanformer.report.table import summary

    folder = Path(record["run"])
    exported = {row["runtime"]: folder / row["path"] for row in record["exports"] if row["accepted"]}
    places = {"report": folder / "report.html", "model": folder / "model", **exported}
    lines = [f"{name:<12} {place}" for name, place in places.items()] + [f"{'again':<12} {record['command']}"]
    gain, ladder = record.get("gain"), record.get("ladder")  # runs of older versions have none
    shown = Group(
        summary(record),
        *((ladder_table(ladder), Text(f"\n{end_words(record)}\n")) if ladder else ()),
        *(Text(sentence) for sentence in gain_sentences({} if nothing_removed(record) else gain or {})),
        *([Text(bias_sentence(record["bias"]))] if record.get("bias") else []),
        Text("\n".join(lines), no_wrap=True, overflow="ignore"),
    )
    budget = record.get("budget")
    said = {key: record[key] for key in _RECORD}
    said |= {"gain": gain, "budget": budget, "ladder": ladder, "serve": record.get("serve")}
    return Answer(said, shown, exit_code(None if ladder else gain, budget))


def _start(job_file: Path | None, out: Path, resume: bool, model: str | None) -> Job | None:
    """Return the job that the given options change: a file's, or that of the run to resume."""
    from leanformer.job import Job
    from leanformer.run import Run, is_run

    if job_file is not None:
        return Job.from_toml(job_file)
    return Run.open(out).job if resume and (is_run(out) or model is None) else None


@dataclass(frozen=True)
class _Asked:
    """What the command line gives, each by the name of its field: of the job, the data, the budget, the target."""

    settings: dict[str, Any]
    data: DataOptions
    limits: dict[str, Any]
    target: dict[str, Any]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _job(asked: _Asked, start: Job | None) -> Job:
    from leanformer.budget import Budget, Target
    from leanformer.errors import DataError, ModelError
    from leanformer.job import Job
    from leanformer.tasks.load import DataSpec

    settings = dict(asked.settings)
    if asked.limits:  # a new budget takes the place of the old one, it is not added to it
        settings["budget"] = Budget(**asked.limits)
    if start is not None:
        if settings.get("method", start.method) != start.method:  # the new method has settings of its own
            settings = {"granularity": "", "options": {}, **settings}
        data, target = replace(start.data, **asked.data), replace(start.target, **asked.target)
        return replace(start, **settings, data=data, target=target).resolved()
    if "model" not in settings:
        raise ModelError("no model is given: name a Hugging Face folder or hub id before the options")
    if "source" not in asked.data:
        raise DataError("no data are given: add --data with a folder, a file, a GLUE task or a hub id")
    return Job(**settings, target=Target(**asked.target), data=DataSpec(**asked.data)).resolved()
