"""Whether a training learned anything; where it did not, its learning rate was too high, and it is repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

HEAVY = 0.25
"""Damage from which on a model is taught at so high a rate that it may learn nothing at all."""

STUCK = 0.8
"""A loss that ends above this share of what it was has not fallen: e5-small's first layers alone stayed at 0.9 of it
for 564 steps, at five dense rates, and answered at random; recoveries that learn come to 0.2 to 0.5."""

CALM = 1 / 3
"""Of the learning rate, at the second try."""

LAST = 4  # the last quarter of the curve


def is_heavy(damage: float | None) -> bool:
    """Whether a model lost so much that it is taught at a high rate; False where no damage was measured."""
    return damage is not None and damage > HEAVY


def has_learned(curve: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the loss of a training fell.

    Args:
        curve: "loss" by step; an empty one has nothing to say.

    Returns:
        False where the mean of its last quarter is above four fifths of its first entry.
    """
    if not curve:
        return True
    losses = [float(point["loss"]) for point in curve]
    return fmean(losses[-max(1, len(losses) // LAST) :]) <= STUCK * losses[0]


def weights_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return a copy of a model's weights, to start again from."""
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}
