"""From a model to its space of candidates, and from a candidate to masks and to a smaller model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from leanformer.encoders.lean import afresh
from leanformer.encoders.view import EncoderView
from leanformer.search.space import Candidate, Group, Space
from leanformer.structure.activations import Moments
from leanformer.structure.cost import head_cost, neuron_cost
from leanformer.structure.importance import Scores
from leanformer.structure.masks import Masks, make_permanent
from leanformer.structure.repair import Fits, repair_units, repair_weights
from leanformer.structure.sequential import Stream, repair_in_sequence
from leanformer.structure.surgery import slice_units

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Repair = Literal["none", "one pass", "in sequence"]
"""How what remains is re-fitted: not at all; on the dense model's inputs; and then on the pruned model's own."""

START: Repair = "one pass"
"""The repair that training starts from. Repair in sequence foretells more, but starts no better: 80.1 against 80.8 on
average over three candidates (e5-small, MRPC at 0.8, seed 0, n = 2,133, one run each; benchmarks/results/start)."""

NEURON_LEVELS = 48
"""FFN widths are searched in steps of 1/48: multiples of 32 for MiniLM, of 64 for BERT-base."""

WEIGHT_LEVELS = 64


def unit_groups(view: EncoderView, costs: tuple[float, float] | None = None) -> tuple[Group, ...]:
    """Return the heads and the FFN neurons of each layer: two groups a layer.

    Args:
        view: The dense encoder.
        costs: Of a head and of a neuron; by default their weights.

    Returns:
        The groups; a sub-layer without units has none.
    """
    head, neuron = (head_cost(view), neuron_cost(view)) if costs is None else costs
    groups = []
    for layer in range(view.n_layers):
        heads, width = view.heads(layer), view.width(layer)
        if heads:
            groups.append(Group(layer, "head", heads, heads, head))
        if width:
            levels = NEURON_LEVELS if width % NEURON_LEVELS == 0 else width
            groups.append(Group(layer, "neuron", width, levels, neuron * width / levels))
    return tuple(groups)


def weight_groups(view: EncoderView) -> tuple[Group, ...]:
    """Return the six matrices of each layer, in `WEIGHT_LEVELS` levels."""
    return tuple(
        Group(layer, name, matrix.numel(), WEIGHT_LEVELS, matrix.numel() / WEIGHT_LEVELS)
        for layer in range(view.n_layers)
        for name, matrix in view.matrices(layer).items()
    )


def unit_space(view: EncoderView, pruning_ratio: float) -> Space:
    """Return the space of heads and FFN neurons per layer.

    Args:
        view: The dense encoder.
        pruning_ratio: Share of the encoder's weights to remove.

    Returns:
        Two groups a layer.

    Raises:
        BudgetError: If no candidate meets the ratio.
    """
    return Space(unit_groups(view), pruning_ratio)


def weight_space(view: EncoderView, pruning_ratio: float) -> Space:
    """Return the space of the six matrices of each layer, pruned weight by weight: the paper's setting.

    Args:
        view: The dense encoder.
        pruning_ratio: Share of the encoder's weights to remove.

    Returns:
        Six groups a layer; each matrix keeps at least one of `WEIGHT_LEVELS` levels.

    Raises:
        BudgetError: If no candidate meets the ratio.
    """
    return Space(weight_groups(view), pruning_ratio, least=1)


def masks_of(space: Space, candidate: Candidate, scores: Mapping[tuple[int, str], Tensor]) -> Masks:
    """Return the masks of a candidate: in each group the units of highest score stay.

    Args:
        space: The space.
        candidate: Levels kept, one a group.
        scores: Score of each unit of each group.

    Returns:
        0/1 masks of the scores' shapes.
    """
    masks: Masks = {}
    for group, level in zip(space.groups, candidate, strict=True):
        score = scores[group.layer, group.kind]
        kept = torch.topk(score.flatten(), group.kept(level), sorted=False).indices
        mask = torch.zeros(score.numel(), device=score.device)
        mask[kept] = 1.0
        masks[group.layer, group.kind] = mask.view(score.shape)
    return masks


@dataclass(frozen=True)
class Realiser:
    """Turns candidates into models; the dense model is never changed.

    Attributes:
        dense: The dense model.
        space: The space of candidates.
        scores: Which units of a group stay.
        moments: Second moments for repair; None builds without repair only.
        stream: The dense residual stream, for repair in sequence; None builds without that only.
    """

    dense: PreTrainedModel
    space: Space
    scores: Scores
    moments: Moments | None = None
    stream: Stream | None = None
    _fits: Fits = field(default_factory=Fits, repr=False)

    def parcel(self) -> Realiser:
        """Return a copy that can travel to another machine: without the fits that it remembers."""
        return replace(self, dense=afresh(self.dense), _fits=Fits())

    def masks(self, candidate: Candidate) -> Masks:
        """Return the candidate's 0/1 masks."""
        return masks_of(self.space, candidate, self.scores)

    def build(self, candidate: Candidate, repair: Repair) -> PreTrainedModel:
        """Return the candidate's model: sliced for units, with zeros for weights.

        Args:
            candidate: Levels kept, one a group.
            repair: How what remains is re-fitted by least squares.

        Returns:
            A new model in eval mode.

        Raises:
            ValueError: If a repair is asked for without what it needs.
        """
        if repair != "none" and self.moments is None:
            raise ValueError("repair needs the second moments of the dense model")
        if repair == "in sequence" and self.stream is None:
            raise ValueError("repair in sequence needs the residual stream of the dense model")
        masks = self.masks(candidate)
        units = all(kind in ("head", "neuron") for _, kind in masks)
        if units:
            model = slice_units(self.dense, masks)
        else:
            model = copy.deepcopy(self.dense)
            make_permanent(model, masks)
        if repair != "none" and self.moments is not None:
            dense, small = EncoderView(self.dense), EncoderView(model)
            if units:
                repair_units(dense, small, masks, self.moments, self._fits)
            else:
                repair_weights(dense, small, self.moments)
        if repair == "in sequence" and self.stream is not None:
            repair_in_sequence(EncoderView(model.eval()), self.stream, sparse=not units)
        return model.eval()
