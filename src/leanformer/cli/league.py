"""leanformer league: all methods under one budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import (
    Address,
    Answer,
    DataOptions,
    Engine,
    MaxTokens,
    Threads,
    Truncate,
    Trust,
    verb,
)

if TYPE_CHECKING:
    from leanformer.job import Job


@verb
def league(
    model: Annotated[str, typer.Argument(help="A Hugging Face folder or hub id, with or without a head.")],
    data: DataOptions,
    out: Annotated[Path, typer.Option(help="The folder of the league: everything lands in it.")] = Path(
        "leanformer-league"
    ),
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="One that takes part; may be given several times.",
            show_default="all that have a place in a league",
        ),
    ] = None,
    pruning_ratio: Annotated[
        float, typer.Option(help="Share to remove of what a method removes: weights, heads or layers.")
    ] = 0.5,
    seeds: Annotated[
        str,
        typer.Option(help="Seeds of every method, for example 0,1,2; the first is the dense model's too."),
    ] = "0",
    finetune: Annotated[
        bool, typer.Option("--finetune", help="Fine-tune the dense model first though its head matches.")
    ] = False,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    no_int8: Annotated[bool, typer.Option("--no-int8", help="Time fp32 only.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A rough answer: fewer epochs, fewer candidates, few rounds.")
    ] = False,
    no_timing: Annotated[
        bool, typer.Option("--no-timing", help="Scores alone; a later --resume without it times the models.")
    ] = False,
    trained: Annotated[
        Path | None,
        typer.Option(
            help="A league at another ratio: its dense model is taken, and what it trained for every ratio."
        ),
    ] = None,
    lanes: Annotated[
        int,
        typer.Option(
            min=1, help="Cells that run side by side, for machines with many cores or a GPU; see below."
        ),
    ] = 1,
    limit: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds of timing a batch size, if the ratios do not settle before.",
            show_default="30 a model",
        ),
    ] = None,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted league in --out.")
    ] = False,
    trust_remote_code: Trust = None,
    engine: Engine = "in-process",
    address: Address = None,
) -> Answer:
    """Run every method under one budget, and set them side by side: score, size, measured speed, minutes.

    The dense model is fine-tuned once, unless it arrives trained. Every method prunes that same model with the same
    ratio, data, recipe and seeds; one that takes no ratio ends at its own bound on the score, and every row says what
    was reached. Each cell is an ordinary run in OUT/cells, scored on the validation rows, and on test rows
    where they have labels. At the end one model of each method, and the dense one, take turns at batch 1 and 8, in
    fp32 in every installed runtime and in int8 in ONNX Runtime; speed is counted from the dense model's best runtime.
    All of them are in memory at that time: about four copies of the dense model for every method.

    With --lanes, each takes its share of the threads; minutes hold what the cells took from each other, and compare
    no more than roughly; everything else is the same. Timing always has the machine for itself.

    A method that loses more and is slower than a simpler one is named in one sentence. One that can not meet the
    budget is a row with its reason. It takes as long as all the methods together: hours for a small model on two
    cores. What is finished is skipped by --resume, which may also add methods and seeds to a league. For a curve play
    it at several ratios, from the highest on, the others with --trained: a method that trains once for every ratio
    is then only set to this one, and its minutes hold that training.

    leanformer league bert-folder --data reviews/ --pruning-ratio 0.5 --out league

    leanformer league bert-folder --data reviews/ --method ae-bert --method uniform-magnitude --seeds 0,1 --quick
    """
    from leanformer.errors import RunError
    from leanformer.league.grid import league_of
    from leanformer.league.play import PAGE, RECORD, play
    from leanformer.report.league_table import league_shown
    from leanformer.search.engines import IN_PROCESS, open_engine

    settings = {
        "finetune": finetune,
        "truncate": bool(truncate),
        "max_tokens": max_tokens,
        "quick": quick,
        "threads": threads,
        "trust_remote_code": bool(trust_remote_code),
    }
    job = _job(model, data, pruning_ratio, settings)
    names = tuple(method or ())
    asked = league_of(job, names, _seeds(seeds), not no_int8, limit, not no_timing, trained)
    if lanes > 1 and engine != IN_PROCESS:
        raise RunError(
            "--lanes runs whole cells side by side, --engine their candidates: give one of the two"
        )
    with open_engine(engine, address) as opened:
        record = play(asked, out, resume, opened, lanes)
    from rich.console import Group
    from rich.text import Text

    places = Text(f"\npage    {out / PAGE}\nfigures {out / RECORD}\nagain   {record['command']}")
    places.no_wrap, places.overflow = True, "ignore"
    return Answer({**record, "out": str(out)}, Group(league_shown(record), places))


def _job(model: str, data: DataOptions, pruning_ratio: float, settings: dict[str, Any]) -> Job:
    from leanformer.budget import Budget
    from leanformer.errors import DataError
    from leanformer.job import Job
    from leanformer.tasks.load import DataSpec

    if "source" not in data:
        raise DataError("no data are given: add --data with a folder, a file, a GLUE task or a hub id")
    given = {name: value for name, value in settings.items() if value is not None}
    return Job(model, DataSpec(**data), Budget(pruning_ratio=pruning_ratio), **given)


def _seeds(text: str) -> tuple[int, ...]:
    """Read "0,1,2"."""
    from leanformer.errors import RunError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise RunError(f"--seeds '{text}' is no list of numbers: give for example --seeds 0,1,2") from error
