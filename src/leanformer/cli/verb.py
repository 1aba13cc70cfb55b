"""What all verbs share: errors as one sentence, results on standard output and everything else on standard error."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from leanformer.errors import DataError, LeanformerError
from leanformer.training.processes import leads

if TYPE_CHECKING:
    from rich.console import RenderableType

    from leanformer.reading import Reading

INTERRUPTED = 130
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
FILE_COLUMNS = 120
DataOptions = dict[str, Any]


def _about_data(text: str, flag: str | None = None, default: str | None = None) -> Any:
    """Return a Typer option of the data panel."""
    flags = () if flag is None else (flag,)
    return typer.Option(*flags, help=text, show_default=default or False, rich_help_panel="Data")


Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")
]
Seed = Annotated[
    int | None, typer.Option(help="Same seed, same result; auto follows the clock, too.", show_default="0")
]
Threads = Annotated[int | None, typer.Option(help="Processor threads.", show_default="all cores")]
Trust = Annotated[
    bool | None, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
]
Limit = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Seconds of timing a batch size, if the ratios do not settle before.",
        show_default="60",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="Who measures candidates: in-process, or ray for several machines.", rich_help_panel="Machines"
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of the Ray cluster's head.",
        show_default="this machine's cluster",
        rich_help_panel="Machines",
    ),
]
FirstToken = Annotated[
    bool, typer.Option("--first-token", help="The last layer for the first token only: the same answers.")
]
EagerAttention = Annotated[
    bool, typer.Option("--eager-attention", help="Attention as separate operators: the same answers.")
]
Truncate = Annotated[bool | None, _about_data("Cut texts that are too long.", "--truncate")]
MaxTokens = Annotated[int | None, _about_data("Longest input in tokens.", default="what the model takes")]

_DATA_OPTIONS: dict[str, Any] = {
    "data": (
        str,
        _about_data(
            "A folder or file (csv, tsv, jsonl, parquet, conll, SQuAD's json), a GLUE task by name, or a hub id."
        ),
    ),
    "data_dir": (str, _about_data("Folder with a GLUE task's official TSV files.")),
    "config": (str, _about_data("Configuration of a hub data set.")),
    "text": (str, _about_data("Text column.", default="guessed")),
    "text_pair": (str, _about_data("Second text column.", default="guessed")),
    "label": (str, _about_data("Label column.", default="guessed")),
    "metric": (
        str,
        _about_data(
            "accuracy, f1, matthews, pearson, spearman, span-f1, answer-f1, spearman_cosine ...",
            default="the task's own",
        ),
    ),
    "kind": (
        str,
        _about_data(
            "classification, regression, token-classification, question-answering, or embedding (sentence "
            "embeddings, judged on pairs with a score).",
            default="guessed",
        ),
    ),
    "train_rows": (int, _about_data("Use the first N training rows only.")),
    "validation": (str, _about_data("File with the validation rows.", default="a tenth of train")),
    "test": (str, _about_data("File with labelled test rows.")),
}


@dataclass(frozen=True)
class Answer:
    """What a verb has to say.

    Attributes:
        record: For scripts: what `--json` prints.
        shown: For people: printed on standard output without `--json`.
        exit_code: What the process ends with: 0, or what the verb's help says of a verdict.
    """

    record: Any
    shown: RenderableType
    exit_code: int = 0


def reading(
    data: DataOptions,
    truncate: bool | None,
    max_tokens: int | None,
    threads: int | None,
    trust_remote_code: bool | None = None,
) -> Reading:
    """Put the given options together for the verbs that judge models which exist already.

    Args:
        data: The given data options.
        truncate: Whether to cut texts.
        max_tokens: Longest input.
        threads: Processor threads.
        trust_remote_code: Whether to run code that comes with the model.

    Returns:
        How texts are to be read.

    Raises:
        DataError: If the data are described but not named.
        RunError: If a limit is not positive.
    """
    from leanformer.job import check_limits
    from leanformer.reading import Reading
    from leanformer.tasks.load import DataSpec

    if data and "source" not in data:
        raise DataError("the options describe data, but none are named: add --data")
    check_limits(threads, max_tokens)
    spec = DataSpec(**data) if data else None
    return Reading(spec, truncate, max_tokens, threads, bool(trust_remote_code))


def options_given(given: list[str] | None) -> dict[str, str] | None:
    """Read `--option NAME=VALUE`, given any number of times.

    Args:
        given: What stands behind each --option.

    Returns:
        Values by name; None where none is given.

    Raises:
        BudgetError: If one has no equals sign.
    """
    from leanformer.errors import BudgetError

    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise BudgetError(f"'{text}' is no setting: give --option NAME=VALUE")
        found[name] = value
    return found or None


def verb(command: Callable[..., Answer]) -> Callable[..., None]:
    """Make a Typer command of a function that returns an `Answer`.

    The command gets `--json`, and where the function has a parameter `data: DataOptions`, the options that describe
    task data; their given values arrive as the fields of a `DataSpec`.

    Args:
        command: The function.

    Returns:
        The command.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if hints[parameter.name] == DataOptions:
            parameters += [
                _keyword(name, Annotated[kind | None, option])
                for name, (kind, option) in _DATA_OPTIONS.items()
            ]
        else:
            parameters.append(_keyword(parameter.name, hints[parameter.name], parameter.default))
    parameters.append(_keyword("json", Json, False))
    takes_data = DataOptions in hints.values()

    @functools.wraps(command)
    def run(**values: Any) -> None:
        as_json = values.pop("json")
        if takes_data:
            options = {name: values.pop(name) for name in _DATA_OPTIONS}
            options["source"] = options.pop("data")
            values["data"] = {name: value for name, value in options.items() if value is not None}
        with _sentences(can_resume="resume" in values), _standard_output_to_error():
            answer = command(**values)
        _print(answer, as_json)
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)

    run.__doc__ = _help(command.__doc__ or "")
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _help(text: str) -> str:
    """Reflow a docstring for the terminal; a paragraph that is a command line is set apart."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(
        f"[bold]$ {paragraph}[/bold]" if paragraph.startswith("leanformer ") else paragraph
        for paragraph in paragraphs
    )


def _keyword(name: str, hint: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


@contextmanager
def _sentences(can_resume: bool) -> Iterator[None]:
    """Turn what a user can act on into one sentence on standard error and an exit code."""
    try:
        yield
    except LeanformerError as error:
        if leads():  # of several launched processes one speaks for all
            typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        typer.echo(f"error: {_refusal(error)}: make room, or name another place", err=True)
        raise typer.Exit(LeanformerError.exit_code) from error
    except KeyboardInterrupt as error:
        hint = ": what is finished is kept; go on with the same command and --resume" if can_resume else ""
        typer.echo(f"interrupted{hint}", err=True)
        raise typer.Exit(INTERRUPTED) from error


def _refusal(error: OSError) -> str:
    """Say what the machine refuses, and where."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


@contextmanager
def _standard_output_to_error() -> Iterator[None]:
    """Send what libraries print, from Python or from C++, to standard error."""
    with redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
        except OSError:  # there is no standard output to keep clean
            yield
            return
        os.dup2(2, 1)
        try:
            yield
        finally:
            _flush_c_streams()
            os.dup2(kept, 1)
            os.close(kept)


def _flush_c_streams() -> None:
    """Write out what C code has printed; it would else arrive on the real standard output at the end."""
    if os.name == "posix":
        import ctypes

        ctypes.CDLL(None).fflush(None)


def _print(answer: Answer, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer.record))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, FILE_COLUMNS)  # a table in a file need not fit 80 columns
    console.print(answer.shown, crop=False)
