"""leanformer report: the page of a finished run, once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leanformer.cli.verb import Answer, verb


@verb
def report(
    run: Annotated[Path, typer.Argument(help="A run directory with a result.json.")],
) -> Answer:
    """Write report.html of RUN anew from its result.json, and show the summary.

    leanformer report small
    """
    from leanformer.report.page import read_result, write_report
    from leanformer.report.table import summary

    page = write_report(run)
    return Answer({"run": str(run), "report": str(page)}, summary(read_result(run)))
