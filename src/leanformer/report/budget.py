"""The budget in words: what was asked, what was measured, and what to do where a limit is missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leanformer.budget import BIAS, FLIPS
from leanformer.report import numbers
from leanformer.report.runtimes import kept_exports, kept_rows, lost_points, variant

if TYPE_CHECKING:
    from leanformer.report.words import Tone

Facts = dict[str, Any]
_ROW_KEYS = {"speedup": "ratio", "latency_ms": "latency_ms"}  # of a BenchRow


@dataclass(frozen=True)
class _Kind:
    """How a limit is written.

    Attributes:
        name: What is limited.
        flag: Its option on the command line.
        at_least: Whether it is a lower bound.
        unit: What follows a number.
        write: Writes a measured number, without its unit.
        write_interval: Writes its interval.
    """

    name: str
    flag: str
    at_least: bool
    unit: str
    write: Callable[[float], str]
    write_interval: Callable[[float, float], str] = numbers.three_digits_interval


_KINDS = {
    "pruning_ratio": _Kind("pruning ratio", "--pruning-ratio", True, "", lambda value: f"{value:.3f}"),
    "speedup": _Kind("speed-up", "--speedup", True, "×", numbers.times_exact, numbers.times_interval),
    "latency_ms": _Kind("time of a batch", "--latency-ms", False, "\u00a0ms", numbers.three_digits),
    "size_mb": _Kind("size of the weights", "--size-mb", False, "\u00a0MB", numbers.three_digits),
    "max_drop_points": _Kind(
        "score lost",
        "--max-drop",
        False,
        "\u00a0points",
        numbers.signed,
        lambda *ends: numbers.drop_interval(ends),
    ),
    "macs_share": _Kind(
        "share of the multiply-accumulates", "--macs-share", False, "", lambda value: f"{value:.3f}"
    ),
    FLIPS: _Kind(
        "held-out answers changed",
        "--max-flips",
        False,
        "%",
        numbers.signed,
        lambda low, high: f"{numbers.signed(low)} to {numbers.signed(high)}",
    ),
    BIAS: _Kind(
        "growth of the swap gap on held-out texts",
        "--max-bias-increase",
        False,
        "",
        lambda value: numbers.signed(value, 4),
        lambda low, high: f"{numbers.signed(low, 4)} to {numbers.signed(high, 4)}",
    ),
}
_ON_HELD_OUT = (FLIPS, BIAS)


@dataclass(frozen=True)
class LimitView:
    """One limit, for people.

    Attributes:
        name: What is limited.
        target: Where it is measured, for example "ONNX Runtime int8 at batch 1"; "" where the target does not matter.
        asked: For example "at least 3×".
        measured: For example "2.61×", or "not measured".
        interval: Its 95% interval, or "".
        met: Whether the measured figure keeps the limit; its interval does not decide.
    """

    name: str
    target: str
    asked: str
    measured: str
    interval: str
    met: bool

    @property
    def where(self) -> str:
        """The name, and the target where it matters."""
        return f"{self.name} in {self.target}" if self.target else self.name


def budget_views(result: Facts) -> list[LimitView]:
    """Return the limits of a run, if they say more than the pruning ratio that every run shows.

    Args:
        result: The content of result.json; results of older versions hold no budget.

    Returns:
        One view a limit; none where a plain pruning ratio was asked for and met.
    """
    limits = _limits(result)
    if all(limit["name"] == "pruning_ratio" and limit["met"] for limit in limits):
        return []
    return [_view(limit, result["budget"]) for limit in limits]


def missed_names(result: Facts) -> set[str]:
    """Return the fields of `leanformer.budget.Budget` whose limits are missed."""
    return {limit["name"] for limit in _limits(result) if not limit["met"]}


def missed_sentences(result: Facts) -> list[str]:
    """Say which limits are missed, by how much, and what to do.

    Args:
        result: The content of result.json.

    Returns:
        One sentence a missed limit, without its full stop.
    """
    return [_sentence(limit, result) for limit in _limits(result) if not limit["met"]]


def budget_tone(result: Facts) -> Tone:
    """Return the tone of the verdict on the budget.

    Args:
        result: The content of result.json.

    Returns:
        "bad" if a limit is missed beyond doubt, "mixed" if one was not measured or lies within the interval of what
        was measured, else "good".
    """
    missed = [limit for limit in _limits(result) if not limit["met"]]
    if not missed:
        return "good"
    doubtful = all(limit["measured"] is None or _is_near(limit) for limit in missed)
    return "mixed" if doubtful else "bad"


def budget_line(result: Facts) -> str:
    """Return the budget in one line, for the model card; "" where there is nothing to say."""
    parts = [
        f"{view.where} {view.asked}: {view.measured}{f' ({view.interval})' if view.interval else ''}, "
        f"{'met' if view.met else '**missed**'}"
        for view in budget_views(result)
    ]
    return f"Budget: {'; '.join(parts)}." if parts else ""


def _limits(result: Facts) -> list[Facts]:
    return list((result.get("budget") or {}).get("limits", ()))


def _view(limit: Facts, target: Facts) -> LimitView:
    kind, value = _KINDS[limit["name"]], limit["measured"]
    return LimitView(
        name=kind.name,
        target=_where(limit["name"], target),
        asked=_asked(limit),
        measured="not measured" if value is None else f"{kind.write(value)}{kind.unit}",
        interval=_interval(limit),
        met=limit["met"],
    )


def _where(name: str, target: Facts) -> str:
    """Say where a limit is measured; a score does not depend on the batch, a PyTorch model's size on nothing."""
    if name in _ROW_KEYS:
        return f"{variant(target)} at batch {target['batch']}"
    return variant(target) if name in ("max_drop_points", *_ON_HELD_OUT) else ""


def _asked(limit: Facts) -> str:
    kind = _KINDS[limit["name"]]
    unit = kind.unit.replace("points", "point") if limit["asked"] == 1 else kind.unit
    return f"at {'least' if kind.at_least else 'most'} {limit['asked']:g}{unit}"


def _interval(limit: Facts) -> str:
    low, high = limit.get("low"), limit.get("high")
    return "" if low is None or high is None else _KINDS[limit["name"]].write_interval(low, high)


def _is_near(limit: Facts) -> bool:
    """Whether the interval of what was measured holds the limit."""
    low, high = limit.get("low"), limit.get("high")
    return low is not None and high is not None and low <= limit["asked"] <= high


def _sentence(limit: Facts, result: Facts) -> str:
    kind, view = _KINDS[limit["name"]], _view(limit, result["budget"])
    if limit["measured"] is None:
        return (
            f"Budget missed: {view.where} was not measured, the limit is {view.asked}; {_unmeasured(result)}"
        )
    is_ratio = limit["name"] == "speedup"  # of which a difference, "by 11x", would read as a factor
    gap = "" if is_ratio else f" by {abs(limit['measured'] - limit['asked']):.2g}{kind.unit}"
    within = f" (95% interval {view.interval})" if view.interval else ""
    near = ", within that interval" if _is_near(limit) else ""
    return (
        f"Budget missed{gap}: {view.where} is {view.measured}{within}, the limit is {view.asked}{near}; "
        f"{_advice(limit, result)}"
    )


def _unmeasured(result: Facts) -> str:
    """Say what to do about a target that was not timed."""
    target, kept = result["budget"], kept_exports(result)
    refused = [export for export in result.get("exports") or [] if export not in kept]
    if any(variant(export) == variant(target) for export in refused):
        return "its file lost too much of the score and was not kept: give --target-precision fp32"
    return "give a --target-runtime, --target-precision and --target-batch that can be timed here"


def _advice(limit: Facts, result: Facts) -> str:
    name, kind = limit["name"], _KINDS[limit["name"]]
    if name in _ROW_KEYS and (other := _other_variant(limit, result)):
        key = _ROW_KEYS[name]
        return (
            f"{variant(other)} meets it with {kind.write(other[key])}{kind.unit}: serve it there, "
            f"--target-runtime {other['runtime']} --target-precision {other['precision']}"
        )
    if name == "max_drop_points":
        return "remove less, train on more rows, or allow more with --max-drop"
    if name in _ON_HELD_OUT:
        return f"remove less, search with ae-bert or one-shot, or allow more with {kind.flag}"
    nearer = "less" if kind.at_least else "more"
    advice = f"ask for {nearer} with {kind.flag}"
    return f"{advice}, or choose another target" if name in _ROW_KEYS else advice


def _other_variant(limit: Facts, result: Facts) -> Facts | None:
    """Return the fastest variant of the same model and batch that keeps its score and meets a limit of time."""
    rows = [row for row in kept_rows(result) if row["batch"] == result["budget"]["batch"]]
    key, asked = _ROW_KEYS[limit["name"]], limit["asked"]
    able = [
        row
        for row in rows
        if row["model"] == "compressed"
        and row["precision"] in ("fp32", "bf16", "int8")
        and not row.get("form")
        and lost_points(row, rows) is None
        and (row[key] >= asked if key == "ratio" else row[key] <= asked)
    ]
    return min(able, key=lambda row: float(row["latency_ms"]), default=None)
