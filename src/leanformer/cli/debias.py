"""leanformer debias: gender bias taken out of an encoder, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import (
    Answer,
    DataOptions,
    MaxTokens,
    Seed,
    Threads,
    Truncate,
    Trust,
    options_given,
    verb,
)

if TYPE_CHECKING:
    from leanformer.debias.job import DebiasJob

NOT_WITHIN = 1
"""The exit code where no level keeps the score."""


@verb
def debias(
    data: DataOptions,
    model: Annotated[
        str | None,
        typer.Argument(
            help="A Hugging Face folder or hub id: with a head for the task, or for masked words."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The run directory: everything lands in it.")] = Path(
        "leanformer-debias"
    ),
    method: Annotated[
        str | None,
        typer.Option(help="debias-movement or fair-distillation.", show_default="debias-movement"),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="A large English text, a paragraph a line: what is learned from.",
            show_default=False,
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Shares of the encoder's weights to close, one training each (debias-movement).",
            show_default="0.02,0.05,0.1,0.2",
        ),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(help="What is closed (debias-movement).", show_default="the method's first"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points of score that the model may lose (debias-movement).", show_default="1"),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            help="File of words that are to be told apart no more, a group a line (fair-distillation).",
            show_default="our own list",
        ),
    ] = None,
    suite_data: Annotated[
        str | None,
        typer.Option(help="Folder with the public data sets, as of audit.", show_default="none"),
    ] = None,
    most: Annotated[
        int | None, typer.Option(help="Items a public data set at most.", show_default="all")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, a setting of the method's own; leanformer methods lists them."),
    ] = None,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
    trust_remote_code: Trust = None,
) -> Answer:
    """Lower gender bias of MODEL, and show what that costs.

    debias-movement freezes the weights and closes what carries gender into other words, at several levels; the model
    becomes the least biased one within --max-drop points on rows of train. fair-distillation distils a smaller masked
    LM from a teacher that gives the words of a group one probability. OUT then holds the model, debias.json and a
    page. leanformer methods debias-movement says what is the paper's and what is ours.

    Exit code 1 says that no level loses so little: the model is of the level that loses least.

    leanformer debias my-embedder --corpus wiki.txt --data pairs --kind embedding --out fairer

    leanformer debias my-mlm --method fair-distillation --corpus wiki.txt --option layers=3 --out fairer

    leanformer debias --resume --out fairer
    """
    from leanformer.debias.play import debias as played

    settings = {
        "model": model,
        "method": method,
        "corpus": corpus,
        "levels": None if levels is None else _levels(levels),
        "granularity": granularity,
        "max_drop_points": max_drop,
        "groups": groups,
        "suite_data": suite_data,
        "most": most,
        "options": options_given(option),
        "truncate": truncate,
        "max_tokens": max_tokens,
        "seed": seed,
        "threads": threads,
        "trust_remote_code": trust_remote_code,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    return answer(played(_job(given, data, out, resume), out, resume))


def answer(record: dict[str, Any]) -> Answer:
    """Show a debiasing.

    Args:
        record: The content of its debias.json.

    Returns:
        All of it for scripts, the table and its sentences for people.
    """
    from leanformer.debias.job import PAGE
    from leanformer.report.debias_table import debias_shown

    folder = Path(record["run"])
    places = [("page", str(folder / PAGE)), ("model", str(folder / "model")), ("again", record["command"])]
    return Answer(record, debias_shown(record, places), 0 if record.get("within", True) else NOT_WITHIN)


def _levels(text: str) -> tuple[float, ...]:
    """Read "0.05,0.1"."""
    from leanformer.errors import BudgetError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BudgetError(
            f"--levels '{text}' is no list of numbers: give for example --levels 0.05,0.1"
        ) from error


def _job(given: dict[str, Any], data: DataOptions, out: Path, resume: bool) -> DebiasJob:
    """Return the job; of a run that goes on, what is not given anew is the run's."""
    from dataclasses import replace

    from leanformer.debias.job import DEBIAS_FILE, DebiasJob, DebiasRun
    from leanformer.errors import DataError, ModelError
    from leanformer.tasks.load import DataSpec

    if data and "source" not in data and not resume:
        raise DataError("the options describe data, but none are named: add --data")
    if resume and ((out / DEBIAS_FILE).is_file() or "model" not in given):
        start = DebiasRun.open(out).asked
        spec = replace(start.data, **data) if start.data is not None else DataSpec(**data) if data else None
        return replace(start, **given, data=spec).resolved()
    if "model" not in given:
        raise ModelError("no model is given: name a Hugging Face folder or hub id before the options")
    if "corpus" not in given:
        raise DataError("no text is given to learn from: add --corpus with a file of English text")
    return DebiasJob(**given, data=DataSpec(**data) if data else None).resolved()
