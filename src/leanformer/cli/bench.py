"""leanformer bench: models and runtimes, timed side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from leanformer.cli.exit_codes import exit_code
from leanformer.cli.verb import (
    Answer,
    DataOptions,
    EagerAttention,
    FirstToken,
    Limit,
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
    rounds: Annotated[int, typer.Option(help="How often each variant is timed, at least.")] = 20,
    limit: Limit = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Time torch.compile too; compiling takes minutes.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Measure the peak memory of each variant.")
    ] = True,
    first_token: FirstToken = False,
    eager_attention: EagerAttention = False,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
    trust_remote_code: Trust = None,
) -> Answer:
    """Time MODELS on real texts, in PyTorch, ONNX Runtime and OpenVINO, fp32, bf16 and int8, and score every variant.

    All variants take turns with the same threads, until the 95% intervals of the ratios to the first model in PyTorch
    are within 5%. A run alone stands for its dense and its compressed model, and brings its data along; exit code 3
    says that its compressed model gains nothing over the best plain variant of the dense one. --first-token and
    --eager-attention add other forms of every model, which give the same answers and may be faster here; both add
    their combination.

    leanformer bench small

    leanformer bench bert-folder small --data reviews/ --batch 1 --batch 32
    """
    from rich.console import Group
    from rich.text import Text

    from leanformer.benching import bench_models, is_one_run
    from leanformer.encoders.forms import forms_within
    from leanformer.export.runtimes import COMPILED, PRECISIONS
    from leanformer.measure.gain import gains
    from leanformer.measure.machine import machine
    from leanformer.report.runtimes import gain_sentences
    from leanformer.report.table import bench_table

    asked = reading(data, truncate, max_tokens, threads, trust_remote_code)
    precisions = (*PRECISIONS, COMPILED) if compile else PRECISIONS
    forms = forms_within(first_token, eager_attention)
    found = bench_models(models, batch, rounds, asked, limit, precisions, memory, forms)
    rows = [asdict(row) for row in found]
    gain = {size: asdict(one) for size, one in gains(rows).items()} if is_one_run(models) else None
    shown = Group(bench_table(rows), Text("\n".join(gain_sentences(gain or {}))))
    return Answer({"rows": rows, "machine": machine(threads), "gain": gain}, shown, exit_code(gain))
