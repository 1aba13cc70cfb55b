"""Whether a model merges tokens, as its configuration says; importing this loads nothing heavy."""

from __future__ import annotations

from typing import Any


def merges_tokens(config: Any) -> bool:
    """Whether the layers of a model merge tokens.

    Args:
        config: Its transformers configuration.

    Returns:
        True where some layer does.
    """
    return bool(getattr(config, "token_merging", False))
