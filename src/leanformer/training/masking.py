"""Masks that stay in force, or grow, while a model trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.mask_files import load_masks, save_masks
from leanformer.structure.masks import Masks, make_permanent
from leanformer.training.processes import leader_first, leads
from leanformer.training.schedule import cubic_ratio
from leanformer.training.trainer import OnStep

if TYPE_CHECKING:
    from transformers import PreTrainedModel

REFRESHES = 12
"""How often a gradual schedule recomputes its masks, as in Sparse Progressive Distillation (ACL 2022)."""


def fixed_masks(model: PreTrainedModel, masks: Masks) -> OnStep:
    """Return a callback that sets pruned weights back to zero after each step.

    Args:
        model: The model that trains.
        masks: 0/1 masks of matrices.

    Returns:
        The callback.
    """

    def keep(step: int, total: int) -> None:
        make_permanent(model, masks)

    return keep


def fixed_zeros(model: PreTrainedModel) -> OnStep:
    """Return a callback that keeps those weights at zero that are zero now.

    Args:
        model: The model that trains, with sparse matrices.

    Returns:
        The callback.
    """
    view = EncoderView(model)
    masks: Masks = {
        (layer, name): (matrix != 0).float()
        for layer in range(view.n_layers)
        for name, matrix in view.matrices(layer).items()
    }
    return fixed_masks(model, masks)


def gradual_masks(
    model: PreTrainedModel,
    masks_at: Callable[[float, Masks], Masks],
    live: Masks,
    final: float,
    folder: Path,
) -> OnStep:
    """Return a callback that raises the pruning ratio along the cubic schedule over the first half of training.

    Args:
        model: The model that trains.
        masks_at: Gives, from a pruning ratio and the masks in force, the masks by the current weights; what is
            masked stays masked (Zhu & Gupta 2017, arXiv 1710.01878).
        live: The masks in force, changed in place; matrix masks are applied here, gates by the caller's
            `applied` context around the training.
        final: The final pruning ratio.
        folder: Keeps the masks of each refresh, so that a resumed training goes on with its own.

    Returns:
        The callback.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = False

    def refresh(step: int, total: int) -> None:
        nonlocal started
        end = total // 2
        every = max(1, end // REFRESHES)
        if not started:
            started = True
            _restore(live, folder, step)
        if 0 < step <= end and (step % every == 0 or step == end):
            masks = masks_at(cubic_ratio(step, 0, end, 0.0, final), live)
            with torch.no_grad():
                for key, mask in masks.items():
                    live[key].copy_(mask)
            if leads():
                save_masks(live, folder / f"{step:08d}.safetensors")
        matrices = {key: mask for key, mask in live.items() if key[1] not in ("head", "neuron")}
        if matrices:
            make_permanent(model, matrices)

    return refresh


def _restore(live: Masks, folder: Path, step: int) -> None:
    """Load the masks that were in force at a step; remove those of a later time, which the kill undid."""
    with leader_first() as first:
        for path in [path for path in folder.glob("*.safetensors") if first and int(path.stem) > step]:
            path.unlink()
    if kept := sorted(folder.glob("*.safetensors")):
        for key, mask in load_masks(kept[-1]).items():
            live[key].copy_(mask)
