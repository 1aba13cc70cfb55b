"""What a search of kept tokens chooses from: shares that fall from layer to layer, under one overall ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from leanformer.encoders.carried_tokens import PARTS
from leanformer.encoders.lean import afresh
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.measure.latency.costs import SublayerCosts, rising
from leanformer.search.realise import Repair
from leanformer.search.space import TIME_TOLERANCE, Candidate, Group, Space
from leanformer.structure.cost import unit_costs
from leanformer.structure.masks import TOKEN, VALUE_OUTPUT, Masks
from leanformer.structure.tokens import with_kept_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class FallingSpace(Space):
    """A space in which no group keeps more than the one before it."""

    def movable(self, levels: NDArray[np.int64], moved: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which single steps are steps at all and leave the levels falling; see `Space.movable`."""
        above, below = np.append(np.inf, levels[:-1]), np.append(levels[1:], -np.inf)
        steps: NDArray[np.bool_] = (moved != levels) & (moved <= above) & (moved >= below)
        return steps

    def _settle(self, wished: NDArray[np.floating]) -> Candidate:
        settled = super()._settle(np.minimum.accumulate(wished))
        return tuple(
            np.minimum.accumulate(settled).tolist()
        )  # over a plateau a level may have risen for nothing


def token_groups(view: EncoderView, places: Sequence[int] | None = None) -> tuple[Group, ...]:
    """Return one group a place: the parts of a text that are left after a layer's attention.

    A part costs what reads it until the next place: the FFNs, and the attention behind the first, in products with
    weights.

    Args:
        view: The encoder.
        places: The layers in which tokens may leave; by default all. Layers without heads can drop nothing.

    Returns:
        The groups.
    """
    costs, groups = unit_costs(view), []
    for layer, reading in _readers(view, places).items():
        reads = sum(view.width(one) for one in reading) * costs["neuron"]
        for later in _attending(view, reading):
            dimensions = view.heads(later) * (view.query_key_size(later) + view.value_size(later))
            reads += dimensions * costs[VALUE_OUTPUT]
        groups.append(Group(layer, TOKEN, PARTS, PARTS, reads / PARTS))
    return tuple(groups)


def _readers(view: EncoderView, places: Sequence[int] | None) -> dict[int, range]:
    """Return the layers whose FFNs read what each place has left."""
    able = [
        layer for layer in range(view.n_layers) if view.heads(layer) and (places is None or layer in places)
    ]
    return {layer: range(layer, end) for layer, end in zip(able, [*able[1:], view.n_layers], strict=True)}


def _attending(view: EncoderView, reading: range) -> list[int]:
    """Return the layers whose attention reads what a place has left: up to that of the next place."""
    return [
        later for later in range(reading.start + 1, min(reading.stop + 1, view.n_layers)) if view.heads(later)
    ]


def token_space(view: EncoderView, ratio: float) -> FallingSpace:
    """Return the space of kept tokens.

    Args:
        view: The encoder.
        ratio: The share of all products of tokens with weights that has to be saved, see
            `leanformer.structure.cost.token_ratio`.

    Returns:
        One group a layer.

    Raises:
        BudgetError: If the first attention, which reads all tokens, is more than what may be left.
    """
    groups = token_groups(view)
    reach = sum(float(group.costs[-1]) for group in groups) / view.prunable_weights()
    if ratio >= reach * (1 - 1 / PARTS):
        raise BudgetError(
            f"the first attention reads all tokens, so dropping them saves less than {reach:.2f} of the work: give a "
            "smaller --pruning-ratio, or a method that removes weights"
        )
    return FallingSpace(groups, ratio / reach, least=1, reach=reach)


def timed_token_space(
    view: EncoderView,
    costs: Sequence[SublayerCosts],
    deadline_ms: float,
    places: Sequence[int] | None = None,
    choosing_ms: float = 0.0,
) -> FallingSpace:
    """Return the space of kept tokens under a deadline.

    Args:
        view: The encoder.
        costs: Milliseconds of its sub-layers, for the whole texts first and for shorter ones.
        deadline_ms: What the whole model may take.
        places: The layers in which tokens may leave; by default all.
        choosing_ms: What it takes to choose them, a place.

    Returns:
        One group a place, whose curve is in milliseconds.

    Raises:
        BudgetError: If the first attention alone, and what is beside the layers, take longer; or the dense model
            does not.
    """
    by_length = sorted(costs, key=lambda one: one.setting.tokens)
    lengths = [one.setting.tokens for one in by_length]

    def ms(kind: str, units: int, share: float) -> float:
        known = [one.attention_ms(units) if kind == "head" else one.ffn_ms(units) for one in by_length]
        return float(np.interp(share * lengths[-1], [0, *lengths], [0.0, *known]))

    groups = []
    readers = _readers(view, places)
    for group in token_groups(view, places):
        reading = readers[group.layer]
        curve = rising(
            sum(ms("neuron", view.width(layer), level / PARTS) for layer in reading)
            + sum(ms("head", view.heads(layer), level / PARTS) for layer in _attending(view, reading))
            for level in range(PARTS + 1)
        )
        groups.append(replace(group, cost=curve[-1] / PARTS, curve=curve))
    whole = sum(float(group.costs[-1]) for group in groups)
    shapes = [(view.heads(layer), view.width(layer)) for layer in range(view.n_layers)]
    dense_ms = by_length[-1].sum_ms(shapes)
    beside = dense_ms - whole + choosing_ms * len(groups)
    left = deadline_ms - beside
    least = sum(float(group.costs[1]) for group in groups)
    if left < least:
        raise BudgetError(
            f"{deadline_ms:.3g} ms can not be reached by dropping tokens: the first attention, which reads all of "
            f"them, and what is beside the layers take {beside:.3g} ms; the nearest is {beside + least:.3g} ms: give "
            "that much, or a method that removes weights"
        )
    if left >= whole:
        raise BudgetError(
            f"the dense model takes {dense_ms:.3g} ms on the target and meets the budget of {deadline_ms:.3g} ms as "
            "it is: use it, or give a smaller budget"
        )
    return FallingSpace(tuple(groups), 1.0 - left / whole, least=1, tolerance=TIME_TOLERANCE)


@dataclass(frozen=True)
class TokenRealiser:
    """Turns candidates into models that keep so many tokens.

    Attributes:
        dense: The dense model, whose answers are the standard.
        trained: The model that has learned to do without tokens.
        space: The space of candidates.
    """

    dense: PreTrainedModel
    trained: PreTrainedModel
    space: Space

    def parcel(self) -> TokenRealiser:
        """Return a copy that can travel to another machine."""
        return replace(self, dense=afresh(self.dense), trained=afresh(self.trained))

    def masks(self, candidate: Candidate) -> Masks:
        """Return the candidate's 0/1 masks, of kind "token": of every layer that could drop some."""
        shares = self.shares(candidate)
        return {
            (group.layer, TOKEN): (torch.arange(PARTS) < round(shares[group.layer] * PARTS)).float()
            for group in token_groups(EncoderView(self.trained))
        }

    def shares(self, candidate: Candidate) -> list[float]:
        """Return what is left of a text after each layer, (layers,)."""
        kept = {
            group.layer: group.kept(level) / PARTS
            for group, level in zip(self.space.groups, candidate, strict=True)
        }
        layers = EncoderView(self.trained).n_layers
        return list(accumulate((kept.get(layer, 1.0) for layer in range(layers)), min))

    def build(self, candidate: Candidate, repair: Repair = "none") -> PreTrainedModel:
        """Return the candidate's model.

        Args:
            candidate: Levels kept, one a group.
            repair: "none"; there is nothing to re-fit.

        Returns:
            A new model in eval mode.
        """
        model: PreTrainedModel = with_kept_tokens(self.trained, self.shares(candidate)).eval()
        return model
