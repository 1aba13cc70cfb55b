"""What a long audit has measured so far, a file a part: after a kill only the rest is measured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leanformer import __version__
from leanformer.errors import RunError

KEY = "key.txt"
Part = tuple[NDArray[np.float64], str]
"""What was measured, and what it is of."""


@dataclass(frozen=True)
class Parts:
    """The parts of one model.

    Attributes:
        folder: Where they lie, once there is one; None keeps nothing.
        key: What the audit is of.
        prefix: Which model's they are.
    """

    folder: Path | None = None
    key: str = ""
    prefix: str = ""

    def of(self, prefix: str) -> Parts:
        """Return the parts of a model."""
        return replace(self, prefix=prefix)

    def get(self, name: str, measure: Callable[[], Part]) -> Part:
        """Return a part: what was kept of it, else what is measured now.

        Args:
            name: Which part; the same one has the same name after a kill.
            measure: Measures it.

        Returns:
            The part.
        """
        from safetensors import safe_open
        from safetensors.numpy import save_file

        if self.folder is None:
            return measure()
        path = self.folder / f"{self.prefix}{name}.safetensors"
        if path.is_file():
            with safe_open(path, framework="np") as file:
                return file.get_tensor("measured"), file.metadata()["of"]
        measured, of = measure()
        if not self.folder.is_dir():
            self.folder.mkdir()
            (self.folder / KEY).write_text(self.key, encoding="utf-8")
        partial = path.with_suffix(".partial")
        save_file({"measured": np.ascontiguousarray(measured)}, partial, metadata={"of": of})
        os.replace(partial, path)
        return measured, of

    def clear(self) -> None:
        """Forget all parts: they have become a result."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


NOTHING_KEPT = Parts()


def fingerprint(*paths: str | Path | None) -> str:
    """Describe files, so that others, or changed ones, are told apart.

    Args:
        *paths: Files; of a model folder its weights and its configuration; a hub id stands for itself.

    Returns:
        Names, sizes and times, a line a file.
    """
    lines = []
    for path in paths:
        root = Path(str(path))
        files = sorted([*root.glob("*.safetensors"), *root.glob("config.json")]) if root.is_dir() else [root]
        lines.append(str(path))
        lines += [
            f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files if file.is_file()
        ]
    return "\n".join([__version__, *lines])


def open_parts(folder: Path, key: str, resume: bool) -> Parts:
    """Open the folder of an audit's parts.

    Args:
        folder: The folder; the first part makes it.
        key: What the audit is of: parts of another one are of no use.
        resume: Whether to go on with what the folder holds.

    Returns:
        The parts.

    Raises:
        RunError: If the folder is to be gone on with, and is of another audit.
    """
    known = folder / KEY
    if resume and known.is_file() and known.read_text(encoding="utf-8") != key:
        raise RunError(
            f"the interrupted audit in {folder} is of other models, texts or settings: leave --resume out to start "
            "anew"
        )
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    return Parts(folder, key)
