"""leanformer check: a run against its contract."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from leanformer.cli.exit_codes import MISSED
from leanformer.cli.verb import Answer, DataOptions, Limit, MaxTokens, Truncate, Trust, reading, verb


@verb
def check(
    run: Annotated[Path, typer.Argument(help="A finished run directory.")],
    data: DataOptions,
    rounds: Annotated[int, typer.Option(help="How often each variant is timed, at least.")] = 16,
    limit: Limit = None,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    threads: Annotated[
        int | None, typer.Option(help="Processor threads.", show_default="those of the run")
    ] = None,
    trust_remote_code: Trust = None,
) -> Answer:
    """Measure RUN again, and hold score, changed answers, size and speed against its contract.json.

    Made for continuous integration: exit code 0 if every bound is kept, 1 if one is broken. The bounds stand in the
    file and may be edited. A run brings its data along.

    leanformer check small

    leanformer check small --data reviews/ --json
    """
    from rich.console import Group
    from rich.text import Text

    from leanformer.recheck import check_run
    from leanformer.report.table import check_table

    asked = reading(data, truncate, max_tokens, threads, trust_remote_code)
    found = check_run(run, asked, rounds, limit)
    terms = [asdict(term) for term in found.terms]
    verdict = "the contract is kept" if found.kept else "the contract is broken"
    shown = Group(check_table(terms), Text(f"{verdict} (n = {found.n:,})"))
    record = {"run": str(run), "kept": found.kept, "n": found.n, "bounds": terms}
    record |= {"same_machine": found.same_machine, "machine": found.machine}
    return Answer(record, shown, 0 if found.kept else MISSED)
