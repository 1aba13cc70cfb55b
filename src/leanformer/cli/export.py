"""leanformer export: a model for ONNX Runtime or OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import (
    Answer,
    DataOptions,
    EagerAttention,
    FirstToken,
    MaxTokens,
    Threads,
    Truncate,
    reading,
    verb,
)

if TYPE_CHECKING:
    from rich.console import RenderableType


@verb
def export(
    model: Annotated[str, typer.Argument(help="A run directory, or a model folder with a task head.")],
    data: DataOptions,
    format: Annotated[str, typer.Option(help="onnx or openvino.")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Quantise too, and measure the score.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where the onnx or openvino folder is put.", show_default="MODEL")
    ] = None,
    first_token: FirstToken = False,
    eager_attention: EagerAttention = False,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
) -> Answer:
    """Write MODEL for another runtime, with open batch and length, and prove that it computes the same.

    With --int8 and data, int8 is kept only if the measured score falls by no more than one point. --first-token and
    --eager-attention write another form of the model beside the plain one; which is faster, leanformer bench tells.

    leanformer export small --format openvino --int8

    leanformer export bert-folder --format onnx --out exported
    """
    from leanformer.assess import export as export_model
    from leanformer.encoders.forms import form_name

    form = form_name(first_token, eager_attention)
    rows = export_model(model, format, int8, out, reading(data, truncate, max_tokens, threads), form)
    return Answer({"model": model, "exports": rows}, _table(rows, out or Path(model)))


def _table(rows: list[dict[str, Any]], out: Path) -> RenderableType:
    from rich.table import Table

    from leanformer.report import numbers

    table = Table("file", "MB", "score", "largest difference of a logit", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        score = "not measured" if row["score"] is None else numbers.points(row["score"])
        name = str(out / row["path"]) if row["accepted"] else f"{row['path']} (not kept: its score fell)"
        table.add_row(name, f"{row['size_mb']:.3g}", score, f"{row['max_difference']:.1e}")
    return table
