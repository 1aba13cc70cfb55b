"""Masks in a file: one tensor a mask, named "LAYER.KIND"."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from leanformer.structure.masks import Masks


def save_masks(masks: Masks, path: Path) -> None:
    """Write masks; the file holds all of them or, after a kill, may be cut short: callers note when it is whole.

    Args:
        masks: By (layer, kind).
        path: The file.
    """
    save_file({f"{layer}.{kind}": mask.contiguous() for (layer, kind), mask in masks.items()}, path)


def load_masks(path: Path) -> Masks:
    """Read masks.

    Args:
        path: A file that `save_masks` wrote.

    Returns:
        The masks, on the CPU.
    """
    named = {name.partition("."): mask for name, mask in load_file(path).items()}
    return {(int(layer), kind): mask for (layer, _, kind), mask in named.items()}
