"""How figures are written for people: points, times, counts, megabytes, seconds, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

METRIC_NAMES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "spearman_cosine": "Spearman correlation of cosines",
    "pearson_cosine": "Pearson correlation of cosines",
    "answer-f1": "F1 of answers",
    "exact-match": "exact match",
}
RUNTIME_NAMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
MODEL_NAMES = {"dense": "original"}


def metric_name(metric: str) -> str:
    """Return the metric's name as people write it."""
    return METRIC_NAMES.get(metric, metric)


def runtime_name(runtime: str) -> str:
    """Return the runtime's name as its makers write it."""
    return RUNTIME_NAMES.get(runtime, runtime)


def model_name(model: str) -> str:
    """Return the name under which a benchmarked model is shown."""
    return MODEL_NAMES.get(model, model)


def signed(value: float, decimals: int = 1) -> str:
    """Write a number with a real minus sign, and never as a negative zero."""
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def points(score: float) -> str:
    """Write a score in [-1, 1] in points, one hundred times as large."""
    return signed(100 * score)


def points_interval(low: float, high: float) -> str:
    """Write an interval of scores in points."""
    return f"{points(low)} to {points(high)}"


def drop_interval(interval: Sequence[float]) -> str:
    """Write an interval that is in points already."""
    return f"{signed(interval[0])} to {signed(interval[1])}"


def times(ratio: float) -> str:
    """Write a ratio; near 1, where a digit more matters, with two decimals."""
    return f"{ratio:.1f}" if ratio >= 1.25 else f"{ratio:.2f}"


def times_exact(ratio: float) -> str:
    """Write a ratio with the digits that its interval deserves."""
    return f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def times_interval(low: float, high: float) -> str:
    """Write an interval of ratios, both ends with the same decimals."""
    decimals = 1 if low >= 10 else 2
    return f"{low:.{decimals}f} to {high:.{decimals}f}"


def count(number: float) -> str:
    """Write a count exactly, with separators."""
    return f"{int(number):,}"


def short_count(number: float) -> str:
    """Write a large count in thousands, millions or billions with three digits."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}\u00a0{letter}"
    return count(number)


def megabytes(size_mb: float) -> str:
    """Write a size in megabytes."""
    return f"{three_digits(size_mb)}\u00a0MB"


def three_digits(number: float) -> str:
    """Write a latency or a size with three digits, and whole from 100 on."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def three_digits_interval(low: float, high: float) -> str:
    """Write an interval of latencies, both ends with the same decimals."""
    decimals = 0 if high >= 100 else 1 if high >= 10 else 2
    return f"{low:,.{decimals}f} to {high:,.{decimals}f}"


def place(path: str) -> str:
    """Write a local path for people: the folder's name; a path from here, or a hub id, stays as it is."""
    return Path(path).name or path if Path(path).is_absolute() else path


def seconds(duration: float) -> str:
    """Write a duration: seconds below two minutes, then minutes, then hours."""
    if duration < 10:
        return f"{duration:.1f} s"
    if duration < 120:
        return f"{duration:.0f} s"
    if duration < 7200:
        return f"{duration / 60:.1f} min"
    return f"{duration / 3600:.1f} h"


def percent(share: float) -> str:
    """Write a share as a whole percentage."""
    return f"{100 * share:.0f}%"


def points_words(value: float) -> str:
    """Write points of score in words: "1 point", "0.5 points"."""
    return f"{value:g} point{'' if value == 1 else 's'}"
