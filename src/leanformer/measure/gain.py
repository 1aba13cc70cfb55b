"""The verdict on speed: the compressed model at its best against the best that the dense one does without us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leanformer.encoders.forms import PLAIN
from leanformer.measure.statistics import bootstrap_ratio_interval
from leanformer.report.runtimes import lost_points


@dataclass(frozen=True)
class Gain:
    """What compression brings at one batch size, beyond choosing a runtime.

    Attributes:
        best_plain: The variant (see `variant_name`) in which the dense model is fastest and keeps its score.
        best_compressed: The same of the compressed model.
        ratio: The former's latency divided by the latter's.
        low: Lower end of its 95% interval, from paired rounds.
        high: Upper end.
        gain: Whether the whole interval lies above one.
    """

    best_plain: str
    best_compressed: str
    ratio: float
    low: float
    high: float
    gain: bool


def variant_name(runtime: str, precision: str, form: str = PLAIN) -> str:
    """Name a variant of a model, as gain and contract do.

    Args:
        runtime: "torch", "onnxruntime" or "openvino".
        precision: One that the runtime has.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        For example "openvino int8", or "openvino int8 first-token" where the form is not plain.
    """
    return f"{runtime} {precision} {form}".rstrip()


def gains(
    rows: Sequence[Mapping[str, Any]], seed: int = 0, dense: str = "dense", compressed: str = "compressed"
) -> dict[str, Gain]:
    """Compare the fastest sound variants of two models, by batch size.

    A variant is sound unless its score lies more than `leanformer.report.runtimes.FALLEN_POINTS` under its own
    model's in fp32. int8 and bf16 of the dense model are plain variants like any other, and so are its other forms:
    these need no compression either.

    Args:
        rows: BenchRow objects as dicts, of one bench, with their `rounds_ms`.
        seed: Of the intervals.
        dense: The dense model's name.
        compressed: The compressed model's name.

    Returns:
        By batch size as a string, as in result.json.

    Raises:
        ValueError: If a model has no row at a batch size.
    """
    table = [dict(row) for row in rows]
    return {
        str(batch): _gain(_fastest(table, dense, batch), _fastest(table, compressed, batch), seed)
        for batch in dict.fromkeys(row["batch"] for row in table)
    }


def _fastest(rows: list[dict[str, Any]], model: str, batch: int) -> dict[str, Any]:
    here = [row for row in rows if row["batch"] == batch]
    sound = [row for row in here if row["model"] == model and lost_points(row, here) is None]
    if not sound:
        raise ValueError(f"there is no row of {model} at batch {batch}")
    return min(sound, key=lambda row: float(row["latency_ms"]))


def _gain(plain: Mapping[str, Any], compressed: Mapping[str, Any], seed: int) -> Gain:
    ratio, low, high = bootstrap_ratio_interval(plain["rounds_ms"], compressed["rounds_ms"], seed)
    best_plain, best_compressed = (
        variant_name(row["runtime"], row["precision"], row.get("form", PLAIN)) for row in (plain, compressed)
    )
    return Gain(best_plain, best_compressed, ratio, low, high, gain=low > 1.0)
