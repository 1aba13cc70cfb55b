"""leanformer: the smallest, fastest transformer encoder that keeps the score, proven on your machine.

The public names are loaded on first use, so that `import leanformer` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leanformer.encoders.doors import open_package_door

__version__ = "0.1.0"
__all__ = ["Budget", "LeanformerError", "Result", "Target", "__version__", "compress", "load"]

if TYPE_CHECKING:
    from leanformer.api import Result, compress, load
    from leanformer.budget import Budget, Target
    from leanformer.errors import LeanformerError

_HOMES = {
    "Budget": "leanformer.budget",
    "LeanformerError": "leanformer.errors",
    "Result": "leanformer.api",
    "Target": "leanformer.budget",
    "compress": "leanformer.api",
    "load": "leanformer.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'leanformer' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


open_package_door()
