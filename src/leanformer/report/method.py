"""What the method is, said the same way in the page and in the model card."""

from __future__ import annotations

from typing import Any

from leanformer.report.ladder_words import chosen_rung

_STATEMENTS = {
    "ae-bert": (
        "AE-BERT, “An Automatic and Efficient BERT Pruning for Edge AI Systems” (ISQED 2022, arXiv 2206.10461). "
        "Of the paper only the abstract was readable and no public code exists, so this is a reconstruction: "
        "its details are ours, not the paper's."
    ),
    "auto": (
        "Method “auto” climbs a ladder of cost, from other runtimes for the dense model to pruning with "
        "distillation, and each rung is scored and timed before the next one."
    ),
}


def method_words(result: dict[str, Any]) -> str:
    """Name the method, its paper and its standing; a baseline is named alone.

    Args:
        result: The content of result.json.

    Returns:
        A few sentences; for a climb also those of the method of the rung that it ended at.
    """
    words = _STATEMENTS.get(result["method"], f"Method “{result['method']}”.")
    ladder = result.get("ladder")
    return f"{words} {_STATEMENTS.get(chosen_rung(ladder)['name'], '') if ladder else ''}".rstrip()
