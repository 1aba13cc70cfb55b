"""Bias in words and rows: what was measured on one model or two, and whether a difference is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leanformer.report import numbers
from leanformer.report.flow_words import flow_view

Facts = dict[str, Any]
MOST_NAMED = 3
SWAP = "swap gap"


@dataclass(frozen=True)
class BiasRow:
    """A figure, ready to be shown.

    Attributes:
        metric: What was measured.
        subject: On what.
        n: On how many items, with what they are.
        values: By model: the figure and its interval; two empty strings where there is none.
        p: By model: p of the permutation test, or "".
        ideal: The value without bias.
        change: What the second model's differs by; "" of one model.
        change_interval: Its interval.
        beyond: Whether that leaves out 0.
        note: What a reader has to know besides.
    """

    metric: str
    subject: str
    n: str
    values: tuple[tuple[str, str], ...]
    p: tuple[str, ...]
    ideal: str
    change: str = ""
    change_interval: str = ""
    beyond: bool = False
    note: str = ""


def bias_rows(facts: Facts) -> list[BiasRow]:
    """Return one row a figure.

    Args:
        facts: What `leanformer.audit.compare.side_by_side` returns.

    Returns:
        The rows, in the order of the figures.
    """
    return [_row(figure) for figure in facts["figures"]] + [_between(figure) for figure in facts["between"]]


def _row(figure: Facts) -> BiasRow:
    known = [one for one in figure["values"] if one is not None]
    digits = _digits([end for one in known for end in (one["low"], one["high"])])
    change = figure["change"]
    apart = digits if change is None else _digits([change["low"], change["high"]])
    return BiasRow(
        metric=figure["metric"],
        subject=figure["subject"],
        n=f"{numbers.count(known[0]['n'])} {figure['unit']}",
        values=tuple(("", "") if one is None else _written(one, digits) for one in figure["values"]),
        p=tuple("" if one is None or one["p"] is None else p_words(one["p"]) for one in figure["values"]),
        ideal=f"{figure['ideal']:g}",
        change="" if change is None else _plus(change["value"], apart),
        change_interval="" if change is None else _interval(change, apart),
        beyond=change is not None and change["beyond"],
        note="" if known[-1]["p"] is not None else known[-1]["note"],
    )


def _between(figure: Facts) -> BiasRow:
    """Show a figure that two models have together, such as whose answers changed, under the second one."""
    digits = _digits([figure["low"], figure["high"]])
    n = f"{numbers.count(figure['n'])} {figure['unit']}"
    values = (("", ""), _written(figure, digits))
    return BiasRow(figure["metric"], figure["subject"], n, values, ("", ""), "", note=figure["note"])


def _digits(ends: Sequence[float]) -> int:
    """Return how many decimals an interval deserves."""
    largest = max(abs(end) for end in ends)
    return next((digits for digits, least in enumerate((10, 1, 0.1, 0.01), start=1) if largest >= least), 5)


def _written(one: Facts, digits: int) -> tuple[str, str]:
    return numbers.signed(one["value"], digits), _interval(one, digits)


def _interval(one: Facts, digits: int) -> str:
    return f"{numbers.signed(one['low'], digits)} to {numbers.signed(one['high'], digits)}"


def _plus(value: float, digits: int) -> str:
    text = numbers.signed(value, digits)
    return text if text.startswith("−") or float(text.replace(",", "")) == 0 else f"+{text}"


def bias_view(facts: Facts) -> Facts:
    """Return what the report's section shows.

    Args:
        facts: The "bias" of result.json, of the dense and the compressed model.

    Returns:
        `sentence`, `rows`, `unmeasured`, `attention`: by model, what the detector found, where it ran; and `flows`:
        by model, what it found at every position, with its picture.
    """
    found = zip(facts["models"], facts.get("detector") or [], strict=False)
    flows = zip(facts["models"], facts.get("flow") or [], strict=False)
    return {
        "sentence": bias_sentence(facts),
        "rows": bias_rows(facts),
        "unmeasured": facts["unmeasured"],
        "attention": [(name, detector_sentence(one)) for name, one in found if one],
        "flows": [(name, flow_view(one)) for name, one in flows if one],
    }


def p_words(p: float) -> str:
    """Write p of a permutation test."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def bias_sentence(facts: Facts, actor: str = "Compression") -> str:
    """Say in one sentence whether the second model's bias is another one beyond the intervals.

    Args:
        facts: Of two models, as `side_by_side` returns them.
        actor: Who changed it.

    Returns:
        The sentence; why nothing can be said where nothing was measured on both.
    """
    pairs = [
        (figure, row) for figure, row in zip(facts["figures"], bias_rows(facts), strict=False) if row.change
    ]
    if not pairs:
        reasons = facts["unmeasured"]
        return f"Bias was not measured: {reasons[0]['reason']}." if reasons else "Bias was not measured."
    beyond = [row for _, row in pairs if row.beyond]
    if not beyond:
        shown = next((row for _, row in pairs if row.metric == SWAP), pairs[0][1])
        return (
            f"{actor} did not change bias beyond the 95% intervals, in {_of(len(pairs))}: "
            f"{_moved(shown)} (difference {shown.change_interval}, {shown.n})."
        )
    named = "; ".join(
        f"{_moved(row)} (difference {row.change_interval}, {row.n})" for row in beyond[:MOST_NAMED]
    )
    more = f"; and {len(beyond) - MOST_NAMED} more" if len(beyond) > MOST_NAMED else ""
    return (
        f"{actor} changed bias beyond the 95% intervals in {len(beyond)} of {_of(len(pairs))}: {named}{more}."
    )


def _of(figures: int) -> str:
    return f"{figures} figure{'s' if figures > 1 else ''}"


def _moved(row: BiasRow) -> str:
    (before, _), (after, _) = row.values
    return f"{row.metric} ({row.subject}) went from {before} to {after}"


def detector_sentence(found: Facts) -> str:
    """Say what the attention detector has found on one model.

    Args:
        found: A `leanformer.audit.detector.Detected` as facts.

    Returns:
        A few sentences.
    """
    named, most = found["occupations"], max(found["heads"], key=lambda one: one["degree"])
    ends = [f"{one['name']} {_plus(one['bias'], 3)} ({_interval(one, 3)})" for one in (named[0], named[-1])]
    degree, noise = (found[key]["occupation to gender word"] for key in ("degree", "noise"))
    return (
        f"{numbers.count(found['used'])} occupations beside gender words in {numbers.count(found['sentences'])} "
        f"sentences. Furthest towards male words: {ends[0]}; towards female words: {ends[1]}. Mean size over heads "
        f"{degree:.3f} ({noise:.3f} with genders drawn at random); largest in layer {most['layer']}, head "
        f"{most['head']}: {most['degree']:.3f} ({_interval(most, 3)})."
    )
