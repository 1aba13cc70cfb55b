"""leanformer bench: models and runtimes, timed side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from leanformer.cli.verb import (
    Answer,
    DataOptions,
    EagerAttention,
    FirstToken,
    MaxTokens,
    Threads,
    Truncate,
    Trust,
    reading,
    verb,
)


@verb
def bench(
    models: Annotated[
        list[str], typer.Argument(help="Runs, model folders or hub ids; the first is the baseline.")
    ],
    data: DataOptions,
    batch: Annotated[list[int], typer.Option(help="Texts a batch; may be given several times.")] = [1, 8],  # noqa: B006
    rounds: Annotated[int, typer.Option(help="How often each variant is timed.")] = 20,
    first_token: FirstToken = False,
    eager_attention: EagerAttention = False,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
    trust_remote_code: Trust = None,
) -> Answer:
    """Time MODELS on real texts, in PyTorch, ONNX Runtime and OpenVINO, fp32 and int8, and score every variant.

    All variants take turns with the same threads; ratios to the first model in PyTorch come with 95% intervals. A run
    alone stands for its dense and its compressed model, and brings its data along. --first-token and
    --eager-attention add other forms of every model, which give the same answers and may be faster here; both add
    their combination.

    leanformer bench small

    leanformer bench bert-folder small --data reviews/ --batch 1 --batch 32
    """
    from leanformer.assess import bench_models
    from leanformer.encoders.forms import forms_within
    from leanformer.measure.machine import machine
    from leanformer.report.table import bench_table

    asked = reading(data, truncate, max_tokens, threads, trust_remote_code)
    forms = forms_within(first_token, eager_attention)
    rows = [asdict(row) for row in bench_models(models, batch, rounds, asked, forms)]
    return Answer({"rows": rows, "machine": machine(threads)}, bench_table(rows))
