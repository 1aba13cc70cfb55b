"""The tables of the terminal: dense against compressed, and the benchmark's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leanformer.budget import BIAS, FLIPS
from leanformer.report import numbers
from leanformer.report.budget import LimitView, budget_views, missed_sentences
from leanformer.report.pictures.layers import drops_tokens
from leanformer.report.runtimes import lost_points, variant

BATCHING_NAMES = {
    "longest-possible": "all padded to the longest possible",
    "given": "given order, padded to the batch",
    "sorted": "sorted by length, padded to the batch",
}

_TERM_NAMES = {
    "score": "score",
    "flips": "answers unlike the dense model's",
    "size_mb": "size",
    "speed": "speed",
    FLIPS: "held-out answers changed",
    BIAS: "growth of the swap gap, held-out",
}
_TERMS: dict[str, tuple[Callable[[float], str], str]] = {
    "score": (numbers.points, "≥"),
    "flips": (lambda share: f"{100 * share:.1f}%", "≤"),
    "size_mb": (numbers.megabytes, "="),
    "speed": (lambda ratio: f"{numbers.times_exact(ratio)}×", "≥"),
    FLIPS: (lambda percent: f"{percent:.1f}%", "≤"),
    BIAS: (lambda growth: numbers.signed(growth, 4), "≤"),
}


def summary(result: dict[str, Any]) -> Group:
    """Show a run: both models side by side, then its budget and what is missed of it.

    Args:
        result: The content of result.json.

    Returns:
        One table or two, and a sentence for each missed limit.
    """
    parts: list[RenderableType] = [summary_table(result)]
    if views := budget_views(result):
        parts.append(budget_table(views))
    return Group(*parts, *(Text(sentence) for sentence in missed_sentences(result)))


def budget_table(limits: list[LimitView]) -> Table:
    """Show the limits of a budget, the missed ones marked.

    Args:
        limits: The limits.

    Returns:
        The table.
    """
    table = Table(title="the budget", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    for name in ("asked", "measured", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for limit in limits:
        table.add_row(
            limit.where,
            limit.asked,
            f"{limit.measured}{f' ({limit.interval})' if limit.interval else ''}",
            Text("met") if limit.met else Text("missed", style="red"),
        )
    return table


def summary_table(result: dict[str, Any]) -> Table:
    """Set the dense and the compressed model side by side.

    Args:
        result: The content of result.json.

    Returns:
        A table of score, encoder parameters, size and speed; what was not measured is left out.
    """
    title = Text(f"{result['task']['name']}, {result['method']}, seed {result['seed']}")
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    for name in ("dense", "compressed", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    dense, compressed = result["dense"], result["compressed"]
    table.add_row(
        f"{numbers.metric_name(result['metric'])}\nn = {numbers.count(result['n'])}",
        _score_cell(dense),
        _score_cell(compressed),
        f"{_signed_change(-result['drop_points'])} "
        f"({numbers.drop_interval([-end for end in reversed(result['drop_interval'])])})",
    )
    test = result.get("test")
    if test:
        table.add_row(
            f"on test rows\nn = {numbers.count(test['n'])}",
            numbers.points(test["dense"]),
            numbers.points(test["compressed"]),
            f"{_signed_change(100 * (test['compressed'] - test['dense']))}",
        )
    if test and (served := test.get("served")):
        table.add_row(
            "on test rows\nas served",
            "",
            numbers.points(served["score"]),
            f"{_signed_change(-served['drop_points'])} "
            f"({numbers.drop_interval([-end for end in reversed(served['drop_interval'])])})",
        )
    for task in result.get("tasks") or ():
        table.add_row(
            f"{task['name']}, {numbers.metric_name(task['metric'])}\nn = {numbers.count(task['n'])} held-out rows",
            numbers.points(task["dense"]),
            numbers.points(task["compressed"]),
            f"{_signed_change(100 * (task['compressed'] - task['dense']))}",
        )
    if attack := result.get("attack"):
        before, after = (attack[key]["attacked"] for key in ("dense", "compressed"))
        table.add_row(
            f"accuracy under attack\nn = {numbers.count(attack['dense']['n'])} held-out rows",
            numbers.points(before),
            numbers.points(after),
            f"{_signed_change(100 * (after - before))}",
        )
    _add_dynamic(table, result)
    for name, key, write in (
        ("encoder parameters", "encoder_parameters", numbers.short_count),
        ("size on disk", "size_mb", numbers.megabytes),
    ):
        share = numbers.signed(100 * (compressed[key] / dense[key] - 1), 0)
        table.add_row(name, write(dense[key]), write(compressed[key]), f"{share}%")
    for batch in sorted(result.get("speedup") or {}, key=int):
        table.add_row(f"speed, batch {batch}\nPyTorch fp32", "1.00×", _speed_cell(result, batch), "")
    return table


def _add_dynamic(table: Table, result: dict[str, Any]) -> None:
    """Add what leaves on the way: texts between layers, tokens inside them."""
    if exits := result.get("exits"):
        whole = exits["layers"][-1]
        table.add_row(
            f"layers that a text uses\nn = {numbers.count(exits['rows'])} held-out rows",
            str(whole),
            f"{(1 - exits['saved']) * whole:.1f}",
            f"{numbers.signed(-100 * exits['saved'], 0)}%",
        )
    layers = result.get("layers") or []
    if drops_tokens(layers):
        share = sum(layer["tokens"] for layer in layers) / len(layers)
        table.add_row(
            "tokens, mean of layers",
            "100%",
            numbers.percent(share),
            f"{numbers.signed(100 * (share - 1), 0)}%",
        )


def bench_table(rows: list[dict[str, Any]]) -> Table:
    """Show the benchmark's rows; marked are those whose score fell and those whose ratio did not settle.

    Args:
        rows: BenchRow objects as dicts.

    Returns:
        The table.
    """
    table = Table(
        title="speed against the dense model in PyTorch fp32, 95% intervals",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("model", overflow="fold")
    table.add_column("runtime", no_wrap=True)
    has_memory = any(row.get("peak_mb") is not None for row in rows)
    for name in ("ms", "speed", "score", "MB", *(["peak MB"] if has_memory else [])):
        table.add_column(name, justify="right", no_wrap=True)
    if any(row.get("settled") is False for row in rows):
        table.caption = "~ more rounds would narrow this interval further"
    for index, row in enumerate(rows):
        if index == 0 or rows[index - 1]["batch"] != row["batch"]:
            table.add_row(Text(f"batch {row['batch']}", style="bold"))
        lost = lost_points(row, rows)
        score = "" if row.get("score") is None else numbers.points(row["score"])
        table.add_row(
            Text(str(row["model"])),
            variant(row),
            numbers.three_digits(row["latency_ms"]),
            f"{'~' if row.get('settled') is False else ''}"
            f"{numbers.times_exact(row['ratio'])}×{_within(row.get('ratio_low'), row.get('ratio_high'))}",
            Text(score) if lost is None else Text(f"{score} ▼{lost:.1f}", style="red"),
            *(_megabytes(row.get(key)) for key in ("size_mb", *(["peak_mb"] if has_memory else []))),
            end_section=index + 1 < len(rows) and rows[index + 1]["batch"] != row["batch"],
        )
    return table


def check_table(terms: list[dict[str, Any]]) -> Table:
    """Show the bounds of a contract, the broken ones marked.

    Args:
        terms: Terms of `leanformer.measure.check` as dicts.

    Returns:
        The table.
    """
    table = Table(title="the contract, measured again", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    for name in ("contract", "bound", "now", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for term in terms:
        write, sign = _TERMS[term["name"]]
        name = _TERM_NAMES[term["name"]]
        if term["batch"] is not None:
            name += f", batch {term['batch']}, {term['variant']}"
        table.add_row(
            name,
            write(term["contract"]),
            f"{sign} {write(term['bound'])}",
            write(term["now"]),
            Text("kept") if term["kept"] else Text("broken", style="red"),
        )
    return table


def padding_table(counts: list[dict[str, Any]]) -> Table:
    """Show what each way to batch computes, and how much of it is padding.

    Args:
        counts: `leanformer.measure.sorting.Padding` objects as dicts.

    Returns:
        The table.
    """
    table = Table(
        title="tokens computed, by how texts are batched", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for name in ("texts a batch", "batching"):
        table.add_column(name, no_wrap=True)
    for name in ("tokens", "padding", "of sorted"):
        table.add_column(name, justify="right", no_wrap=True)
    for index, one in enumerate(counts):
        table.add_row(
            str(one["batch"]),
            BATCHING_NAMES[one["batching"]],
            numbers.count(one["computed_tokens"]),
            f"{100 * one['padding_share']:.1f}%",
            f"{numbers.times_exact(one['tokens_ratio'])}×",
            end_section=index + 1 < len(counts) and counts[index + 1]["batch"] != one["batch"],
        )
    return table


def _megabytes(size: float | None) -> str:
    return "" if size is None else numbers.three_digits(size)


def _score_cell(one: dict[str, Any]) -> str:
    return f"{numbers.points(one['score'])} ({numbers.points_interval(one['low'], one['high'])})"


def _signed_change(points: float) -> str:
    return f"{'+' if round(points, 1) > 0 else ''}{numbers.signed(points)}"


def _speed_cell(result: dict[str, Any], batch: str) -> str:
    low, high = (result.get("speedup_interval") or {}).get(batch) or (None, None)
    return f"{numbers.times_exact(result['speedup'][batch])}×{_within(low, high)}"


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({numbers.times_interval(low, high)})"
