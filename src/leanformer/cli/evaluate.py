"""leanformer evaluate: the score of one model."""

from __future__ import annotations

from typing import Annotated

import typer

from leanformer.cli.verb import Answer, DataOptions, MaxTokens, Threads, Truncate, Trust, reading, verb


@verb
def evaluate(
    model: Annotated[
        str, typer.Argument(help="A run directory, a model folder or hub id, or an exported folder or file.")
    ],
    data: DataOptions,
    truncate: Truncate = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
    trust_remote_code: Trust = None,
) -> Answer:
    """Score MODEL on the validation rows, with a 95% bootstrap interval.

    A run directory brings its data along; anything else needs --data.

    leanformer evaluate small

    leanformer evaluate small/onnx/model_int8.onnx --data reviews/ --json
    """
    from rich.text import Text

    from leanformer.assess import evaluate as score_of
    from leanformer.report import numbers

    score = score_of(model, reading(data, truncate, max_tokens, threads, trust_remote_code))
    record = {"model": model, "metric": score.metric, "score": score.value, "n": score.n}
    record |= {"low": score.low, "high": score.high, "extra": score.extra}
    name, interval = numbers.metric_name(score.metric), numbers.points_interval(score.low, score.high)
    lines = [f"{name} {numbers.points(score.value)} (95% interval {interval}, n = {score.n})"]
    lines += [f"{numbers.metric_name(key)} {numbers.points(value)}" for key, value in score.extra.items()]
    return Answer(record, Text("\n".join(lines)))
