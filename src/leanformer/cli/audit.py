"""leanformer audit: what a model's score does not show, and what compression did to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from leanformer.cli.verb import Answer, DataOptions, MaxTokens, Threads, Truncate, Trust, reading, verb

AUDIT_FILE = "audit.json"


@verb
def audit(
    model: Annotated[
        str,
        typer.Argument(
            help="A model folder, hub id or exported file; or a run, whose dense and compressed model are compared.",
            show_default=False,
        ),
    ],
    data: DataOptions,
    against: Annotated[
        str | None, typer.Option(help="Another model, on the same items.", show_default="none")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column of the data with two groups.",
            show_default="gender words of the texts",
            rich_help_panel="Data",
        ),
    ] = None,
    suite_data: Annotated[
        Path | None,
        typer.Option(help="Folder with SEAT, CrowS-Pairs, StereoSet or WinoBias.", show_default="none"),
    ] = None,
    most: Annotated[
        int | None, typer.Option(help="Items a public data set at most.", show_default="all")
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option(help="A large English text, for attention and for contexts.", show_default="none"),
    ] = None,
    flow: Annotated[
        bool, typer.Option("--flow", help="With --scan: bias at every position of the encoder, minutes.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write.", show_default="audit.json, of a run in its folder"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted scan, instead of anew.")
    ] = False,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
    trust_remote_code: Trust = None,
) -> Answer:
    """Measure gender bias of MODEL, alone or --against another one, and write audit.json.

    Of any encoder: WEAT and SEAT. Of one with a head for masked words: LPBS and DisCo, too. --data adds what swapping
    genders changes in a task model's answers, --suite-data the public data sets, --scan a detector on attention,
    --flow the same at every position of the encoder. What can not be measured on this model is listed with the
    reason. Of a run the figures go into its report. An exported file, int8 for example, is asked for answers alone.

    leanformer audit small

    leanformer audit bert-folder --against other-folder --suite-data bias/ --most 200

    leanformer audit bert-folder --against small/onnx/model_int8.onnx --data reviews
    """
    from leanformer.audit.suite import Suite, check_suite
    from leanformer.auditing import audit as measured
    from leanformer.auditing import parts_of
    from leanformer.report.bias_table import bias_shown
    from leanformer.report.pages import write_whole
    from leanformer.run import is_run

    asked = reading(data, truncate, max_tokens, threads, trust_remote_code)
    whole_run = Path(model) if against is None and is_run(Path(model)) else None
    path = out or (whole_run or Path()) / AUDIT_FILE
    _check_place(path)
    suite = Suite(suite_data, most, scan, group, flow)
    check_suite(suite, asked.spec)
    parts = parts_of(model, against, suite, path.with_suffix(".parts"), resume)
    record = measured(model, against, asked, suite, parts)
    write_whole(path, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    parts.clear()
    if whole_run is not None:
        _report(whole_run, record)
    return Answer({**record, "file": str(path)}, bias_shown(record, str(path)))


def _check_place(path: Path) -> None:
    """Refuse a place where nothing can be written, before minutes of measuring."""
    from leanformer.errors import RunError

    if path.is_dir():
        raise RunError(f"{path} is a folder: give --out a file")
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {path.parent}: make it, or give --out another file")


def _report(run: Path, record: dict[str, Any]) -> None:
    """Put the figures into a run's report."""
    from leanformer.report.page import read_result, write_report
    from leanformer.report.pages import write_whole

    result = {**read_result(run), "bias": record}
    write_whole(run / "result.json", json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    write_report(run)
