"""What the method is, said the same way in the page and in the model card."""

from __future__ import annotations

from typing import Any

_STATEMENTS = {
    "auto": (
        "Auto climbs a ladder of cost and stops at the cheapest step that does what was asked. Its rungs that prune "
        "are those of AE-BERT (ISQED 2022, arXiv 2206.10461), in our reconstruction from the paper's abstract."
    ),
    "ae-bert": (
        "AE-BERT, “An Automatic and Efficient BERT Pruning for Edge AI Systems” (ISQED 2022, arXiv 2206.10461). "
        "Of the paper only the abstract was readable and no public code exists, so this is a reconstruction: "
        "its details are ours, not the paper's."
    ),
}


def method_words(result: dict[str, Any]) -> str:
    """Name the method, its paper and its standing; a baseline is named alone.

    Args:
        result: The content of result.json.

    Returns:
        One or two sentences.
    """
    return _STATEMENTS.get(result["method"], f"Method “{result['method']}”.")
