"""What the benchmark's rows say: which variants lost their score, and which is the fastest that did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leanformer.report import numbers

if TYPE_CHECKING:
    from leanformer.report.words import Tone

FALLEN_POINTS = 1.0


def lost_points(
    row: dict[str, Any], rows: list[dict[str, Any]], fallback: float | None = None
) -> float | None:
    """Return how far a variant's score lies under its own model's fp32 score, in points.

    Args:
        row: A BenchRow as a dict.
        rows: All rows of the benchmark.
        fallback: The fp32 score where the rows hold none for this model.

    Returns:
        The lost points when they are more than FALLEN_POINTS, None otherwise (or when there is no score).
    """
    if row.get("score") is None:
        return None
    own = [
        other["score"] for other in rows if other["model"] == row["model"] and other["precision"] == "fp32"
    ]
    reference = next((score for score in own if score is not None), fallback)
    if reference is None:
        return None
    lost = 100 * (reference - row["score"])
    return lost if lost > FALLEN_POINTS else None


def kept_exports(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the exports whose files are there: an int8 model is removed when its score falls on training rows."""
    return [export for export in result.get("exports") or [] if export.get("accepted", True)]


def kept_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the benchmark's rows without those of exports of the compressed model that were not kept."""
    kept = kept_exports(result)
    gone = {variant(export) for export in result.get("exports") or [] if export not in kept}
    rows = result.get("bench") or []
    return [row for row in rows if row["model"] != "compressed" or variant(row) not in gone]


def variant(row: dict[str, Any]) -> str:
    """Name a row's runtime, precision and form: "OpenVINO int8", "OpenVINO int8 first-token"."""
    return f"{numbers.runtime_name(row['runtime'])} {row['precision']} {row.get('form', '')}".rstrip()


def _fastest(rows: list[dict[str, Any]], model: str, fallback: float) -> dict[str, Any] | None:
    sound = [
        row
        for row in rows
        if row["model"] == model and row.get("ratio") and lost_points(row, rows, fallback) is None
    ]
    return max(sound, key=lambda row: float(row["ratio"]), default=None)


def runtime_note(rows: list[dict[str, Any]], compressed_score: float) -> tuple[str, Tone]:
    """Compare the fastest sound variant of the compressed model with the fastest one of the original.

    Args:
        rows: The benchmark's rows; those of the smallest batch are compared.
        compressed_score: The compressed model's fp32 score in [-1, 1].

    Returns:
        One sentence ("" when only one variant was measured) and its tone: "mixed" when the
        original alone does as well in a better runtime.
    """
    if len({variant(row) for row in rows}) < 2:
        return "", "good"
    batch = min(row["batch"] for row in rows)
    here = [row for row in rows if row["batch"] == batch]
    dense, compressed = (_fastest(here, model, compressed_score) for model in ("dense", "compressed"))
    if dense is None or compressed is None:
        return "", "good"
    speeds = (
        f"At batch {batch}, the original in its fastest runtime that keeps the score ({variant(dense)}) reaches "
        f"{numbers.times(dense['ratio'])} times the speed of PyTorch fp32, the compressed model in its own "
        f"({variant(compressed)}) {numbers.times(compressed['ratio'])} times"
    )
    if dense["ratio"] > compressed["ratio"]:
        return f"{speeds}: for speed alone, the original in {variant(dense)} is the better choice.", "mixed"
    if (dense.get("ratio_high") or dense["ratio"]) >= (compressed.get("ratio_low") or compressed["ratio"]):
        return f"{speeds}: between these two the clock finds no clear winner.", "mixed"
    return f"{speeds}.", "good"


def gain_sentences(gain: dict[str, dict[str, Any]]) -> list[str]:
    """Say what compression brings over the best plain variant of the original, one sentence a batch size.

    Args:
        gain: By batch size, what `leanformer.measure.gain.Gain` holds.

    Returns:
        The sentences.
    """
    return [_gain_sentence(batch, one) for batch, one in gain.items()]


def _gain_sentence(batch: str, one: dict[str, Any]) -> str:
    plain, compressed = (_variant_name(one[key]) for key in ("best_plain", "best_compressed"))
    figures = f"{numbers.times_exact(one['ratio'])}× ({numbers.times_interval(one['low'], one['high'])})"
    if one["gain"]:
        return f"batch {batch}: {figures} over the best plain variant, {plain}, in {compressed}"
    return f"batch {batch}: no gain over {plain}: use that instead ({compressed} is {figures} as fast)"


def _variant_name(name: str) -> str:
    """Write the name of `leanformer.measure.gain.variant_name` for people."""
    return variant(dict(zip(("runtime", "precision", "form"), name.split(" "), strict=False)))


def gain_note(gain: dict[str, dict[str, Any]]) -> tuple[str, Tone]:
    """Return the sentences for the verdict of the page, and their tone: "mixed" where any batch size gains nothing.

    Args:
        gain: By batch size, what `leanformer.measure.gain.Gain` holds.

    Returns:
        One paragraph, and its tone.
    """
    words = [sentence[0].upper() + sentence[1:] + "." for sentence in gain_sentences(gain)]
    return " ".join(words), "good" if all(one["gain"] for one in gain.values()) else "mixed"
