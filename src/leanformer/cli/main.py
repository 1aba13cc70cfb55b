"""leanformer: the command line."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from leanformer import __version__
from leanformer.cli.audit import audit
from leanformer.cli.bench import bench
from leanformer.cli.check import check
from leanformer.cli.compress import compress
from leanformer.cli.debias import debias
from leanformer.cli.demo import demo
from leanformer.cli.evaluate import evaluate
from leanformer.cli.export import export
from leanformer.cli.latency import latency
from leanformer.cli.league import league
from leanformer.cli.methods import methods
from leanformer.cli.report import report

# The bars and warnings of libraries would stand between our own, which name the stage.
QUIET_LIBRARIES = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "critical",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}

app = typer.Typer(
    name="leanformer",
    help="Find, train and prove the smallest, fastest transformer encoder that keeps the score, on this machine.",
    epilog="Start with: leanformer demo --quick",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options that stand before the verb."""


for _verb in (demo, compress, league, evaluate, audit, debias, export, bench, check, methods, report):
    app.command()(_verb)
app.add_typer(latency, name="latency")


def main() -> None:
    """Run the command line."""
    for name, value in QUIET_LIBRARIES.items():
        os.environ.setdefault(name, value)
    app()
