"""leanformer latency: the table of what sub-layers cost on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import Answer, Seed, Threads, verb
from leanformer.errors import LatencyError

if TYPE_CHECKING:
    from rich.text import Text

    from leanformer.measure.latency.table import Table

latency = typer.Typer(
    help="Measure, show and share what attention and FFN sub-layers cost on this machine.",
    no_args_is_help=True,
)


@verb
def measure(
    model: Annotated[str, typer.Argument(help="A run, a model folder or a hub id; its shape alone is read.")],
    batch: Annotated[list[int], typer.Option(help="Texts a batch; may be given several times.")] = [1, 8],  # noqa: B006
    tokens: Annotated[list[int], typer.Option(help="Length; may be given several times.")] = [32, 128],  # noqa: B006
    runtime: Annotated[
        list[str] | None, typer.Option(help="torch, onnxruntime or openvino.", show_default="all installed")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, bf16 or int8.", show_default="all usual")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each probe is timed.")] = 12,
    seed: Seed = None,
    threads: Threads = None,
) -> Answer:
    """Time small models of MODEL's shape and keep what their sub-layers cost; nothing is measured twice.

    Each probe is kept as soon as it is timed: after an interruption the same command goes on. Models of one family
    and shape share the table, which lies in the user's cache folder.

    leanformer latency measure bert-folder --batch 1 --batch 8 --tokens 32
    """
    from leanformer.measure.latency.describe import describe
    from leanformer.measure.latency.measuring import Wanted, choose_variants, default_threads, measure_table
    from leanformer.measure.latency.store import table_path
    from leanformer.reading import model_folder

    variants = choose_variants(runtime or [], precision or [])
    wanted = Wanted(batch, tokens, variants, default_threads(threads), rounds, seed or 0)
    table, measured = measure_table(model_folder(model), wanted)
    described = describe(table)
    record = {"file": str(table_path(table.subject)), "probes_measured": measured, **described}
    return Answer(record, _shown([described]))


@verb
def show(
    page: Annotated[
        Path | None, typer.Option(help="Write the curves into this HTML file.", show_default=False)
    ] = None,
) -> Answer:
    """Show the tables of the user's cache folder, or write them as one page with pictures.

    leanformer latency show --page latency.html
    """
    from leanformer.measure.latency.describe import describe
    from leanformer.report.latency import write_latency_page

    described = [describe(table) for table in _known()]
    if page is None:
        return Answer({"tables": described}, _shown(described))
    write_latency_page(page, described)
    return Answer(
        {"tables": described, "page": str(page)}, f"{page} holds the curves of {len(described)} tables"
    )


@verb
def export(
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
) -> Answer:
    """Write all tables of the user's cache folder into FILE, for another machine or another person.

    leanformer latency export latency.json
    """
    from leanformer.measure.latency.store import write_file

    tables = _known()
    write_file(file, tables)
    return Answer({"file": str(file), "tables": _subjects(tables)}, _line(f"{file}: {_count(tables)}"))


@verb
def take(
    file: Annotated[Path, typer.Argument(help="A file that export has written.", show_default=False)],
) -> Answer:
    """Take the tables of FILE, each under the name of the processor that it was measured on.

    What is measured on this machine already stays as it is.

    leanformer latency import latency.json
    """
    from leanformer.measure.latency.describe import describe
    from leanformer.measure.latency.store import import_file

    tables = import_file(file)
    return Answer(
        {"file": str(file), "tables": _subjects(tables)}, _shown([describe(table) for table in tables])
    )


def _known() -> list[Table]:
    """Return the tables of the cache folder."""
    from leanformer.measure.latency.store import all_tables, cache_folder

    tables = all_tables()
    if not tables:
        raise LatencyError(
            f"there is no latency table in {cache_folder()}: measure one with leanformer latency measure MODEL"
        )
    return tables


def _subjects(tables: list[Table]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [{**asdict(table.subject), "probes": len(table.points)} for table in tables]


def _count(tables: Sequence[Any]) -> str:
    return f"{len(tables)} table{'s' if len(tables) > 1 else ''}"


def _line(words: str) -> Text:
    """Return one line in which nothing is read as markup."""
    from rich.text import Text

    return Text(words)


def _shown(described: list[dict[str, Any]]) -> Any:
    from leanformer.report.latency import terminal_tables

    return terminal_tables(described)


for _name, _verb in {"measure": measure, "show": show, "export": export, "import": take}.items():
    latency.command(_name)(_verb)
