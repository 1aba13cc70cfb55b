"""The exit codes of verdicts, said once; 2 is that of errors, `LeanformerError.exit_code`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSED = 1
"""The result is there, and lies outside of what was asked: a budget's limit, or a contract's bound."""

NO_GAIN = 3
"""The result is there, and the plain model is the better choice."""


def exit_code(gain: Mapping[str, Mapping[str, Any]] | None, budget: Mapping[str, Any] | None = None) -> int:
    """Return the exit code of a verb that shows a verdict; a missed budget goes before no gain.

    Args:
        gain: Gains as dicts by batch size, as in result.json; None (or none) where nothing was compared.
        budget: "budget" of result.json; None where nothing was asked.

    Returns:
        1 if a limit of the budget is missed or was not measured, else 3 if no batch size gains anything, else 0.
    """
    if any(not limit["met"] for limit in (budget or {}).get("limits", ())):
        return MISSED
    return NO_GAIN if gain and not any(one["gain"] for one in gain.values()) else 0
