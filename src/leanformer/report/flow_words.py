"""The flow of bias in words and rows: what was found of the paper's findings, and what each matrix adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leanformer.report import numbers
from leanformer.report.pictures.flow import flow_picture

Facts = dict[str, Any]
DIGITS = 3
MATRIX_NAMES = {
    "query": "W_q",
    "key": "W_k",
    "query and key": "W_q and W_k",
    "value": "W_v",
    "attention_out": "attention's output",
    "ffn_in": "FFN in",
    "ffn_out": "FFN out",
}
_VERDICTS = {True: "found", False: "not found", None: "can not be tested"}


@dataclass(frozen=True)
class FindingRow:
    """One of the paper's findings, ready to be shown.

    Attributes:
        claim: What the paper says.
        verdict: "found", "not found" or "can not be tested".
        figures: What that rests on, each with its interval.
    """

    claim: str
    verdict: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class MatrixRow:
    """What one matrix adds, ready to be shown.

    Attributes:
        name: The matrix.
        by: What stands in its place.
        behind: The place behind it.
        there: What it adds at that place, with its interval.
        end: What it adds at the end of its layer.
    """

    name: str
    by: str
    behind: str
    there: str
    end: str


def finding_rows(flow: Facts) -> list[FindingRow]:
    """Return one row a finding.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        The rows, in the paper's order.
    """
    return [
        FindingRow(
            one["claim"],
            _VERDICTS[one["found"]],
            tuple(f"{figure['what']} {_with_interval(figure)}" for figure in one["figures"]),
        )
        for one in flow["findings"]
    ]


def matrix_rows(flow: Facts) -> list[MatrixRow]:
    """Return one row a matrix and replacement.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        The rows; of the FFN's matrices the place behind is the layer's end.
    """
    pairs: dict[tuple[str, str], list[Facts]] = {}
    for one in flow["matrices"]:
        pairs.setdefault((one["matrix"], one["by"]), []).append(one)
    return [
        MatrixRow(
            MATRIX_NAMES[matrix], by, ones[0]["place"], _with_interval(ones[0]), _with_interval(ones[-1])
        )
        for (matrix, by), ones in pairs.items()
    ]


def flow_view(flow: Facts) -> Facts:
    """Return what the report shows of a flow.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        `sentence`, `picture`, `findings` and `matrices`.
    """
    return {
        "sentence": flow_sentence(flow),
        "picture": flow_picture(flow),
        "findings": finding_rows(flow),
        "matrices": matrix_rows(flow),
    }


def flow_sentence(flow: Facts) -> str:
    """Say on what a flow was measured, and where bias is largest and smallest.

    Args:
        flow: What `leanformer.audit.flow_facts.flow_facts` returns.

    Returns:
        Two sentences.
    """
    ordered = sorted(flow["places"], key=lambda one: one["beyond"]["value"])
    most, least = (
        f"{place_words(one)}: {_with_interval(one['beyond'])}" for one in (ordered[-1], ordered[0])
    )
    return (
        f"{numbers.count(flow['used'])} sentences with their twins, {flow['occupations']} occupations; size of their "
        f"bias beyond noise, by attention without parameters. Largest at the {most}; smallest at the {least}."
    )


def place_words(place: Facts) -> str:
    """Name a place for people, for example "query of layer 3"."""
    return "embeddings" if place["layer"] < 0 else f"{place['name']} of layer {place['layer']}"


def _with_interval(one: Facts) -> str:
    value, low, high = (numbers.signed(one[key], DIGITS) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
