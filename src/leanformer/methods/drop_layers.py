"""Layer dropping: whole layers leave, the rest is trained on (Sajjad et al. 2023, Computer Speech and Language).

The paper drops layers of the pre-trained encoder by one of six rules and then fine-tunes it on the task. Its public
code has only a flag that names layers; the rules are from a published summary:

- `top`: the last K; `bottom`: the first K;
- `alternate-odd`, `alternate-even`: every other layer, from the top down (of twelve: 11, 9, 7 ...; 12, 10, 8 ...);
- `symmetric`: the middle K, so that as many stay at the bottom as at the top;
- `weight`: the K with the smallest weights on average;
- `contribution`: the K that change the first token's state least (cosine before and after the layer).

Ours: the budget decides K also for `contribution`, where the paper sets a threshold; layers are dropped from the
dense model that is fine-tuned already, and what is left is distilled from it, as after every method here.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import recovered
from leanformer.progress import track
from leanformer.search.depth import layers_to_drop
from leanformer.structure.depth import keep_layers
from leanformer.structure.masks import LAYER, Masks
from leanformer.tasks.encode import batches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedModel

CALIBRATION_ROWS = 512


def run(problem: Problem) -> Compressed:
    """Drop layers by the rule that the option `strategy` names, then distil.

    Args:
        problem: What to compress, and how far; granularity "layer".

    Returns:
        The compressed model; its training facts name the dropped layers, numbered from 1.

    Raises:
        BudgetError: If the budget can not be met in whole layers.
    """
    view, strategy = EncoderView(problem.teacher), str(problem.options["strategy"])
    price = None if problem.pace is None else problem.pace.price
    count = layers_to_drop(view, problem.budget, price)
    scores = layer_scores(problem, strategy)
    dropped = layers_by(strategy, view.n_layers, count, scores)
    kept = [layer for layer in range(view.n_layers) if layer not in dropped]
    masks: Masks = {(layer, LAYER): torch.tensor([float(layer in kept)]) for layer in range(view.n_layers)}
    small = recovered(problem, keep_layers(problem.teacher, kept), masks)
    facts: dict[str, Any] = {"dropped_layers": [layer + 1 for layer in dropped], "layer_scores": scores}
    return replace(small, training={**small.training, **facts})


def layers_by(strategy: str, n_layers: int, count: int, scores: Sequence[float] = ()) -> list[int]:
    """Return which layers a rule drops.

    Args:
        strategy: A rule's name, as the registry lists them.
        n_layers: How many layers there are.
        count: How many have to go.
        scores: Of each layer, for `weight` and `contribution`; low ones go.

    Returns:
        The layers' numbers, rising, from 0.
    """
    everywhere = range(n_layers)
    first_kept = -(-(n_layers - count) // 2)
    downwards = {  # who goes first
        "top": sorted(everywhere, reverse=True),
        "bottom": list(everywhere),
        "alternate-odd": sorted(everywhere, key=lambda layer: ((n_layers - layer) % 2, -layer)),
        "alternate-even": sorted(everywhere, key=lambda layer: ((n_layers - layer + 1) % 2, -layer)),
        "symmetric": list(range(first_kept, first_kept + count)),
    }
    order = downwards.get(strategy) or sorted(everywhere, key=lambda layer: scores[layer])
    return sorted(order[:count])


def layer_scores(problem: Problem, strategy: str) -> list[float]:
    """Return what a rule that measures thinks of each layer; empty for rules of position.

    Args:
        problem: The dense model and its training rows; no label is read.
        strategy: A rule's name, as the registry lists them.

    Returns:
        For `weight` the mean magnitude of a layer's six matrices; for `contribution` how much the layer turns the
        first token's state, 1 - mean cosine.
    """
    view = EncoderView(problem.teacher)
    if strategy == "weight":
        matrices = [torch.cat([m.flatten() for m in view.matrices(i).values()]) for i in range(view.n_layers)]
        return [float(weights.abs().mean()) for weights in matrices]
    if strategy != "contribution":
        return []
    rows = problem.train.select(range(min(CALIBRATION_ROWS, len(problem.train))))
    plan = [batch for _, batch in batches(rows, problem.tokenizer)]
    turned = torch.cat([_turned(problem.teacher, batch) for batch in track(plan, "Contribution of layers")])
    return [float(score) for score in turned.mean(dim=0)]


@torch.no_grad()
def _turned(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """1 - cosine of the first token's state before and after each layer, (rows, layers)."""
    inputs = {name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"}
    states = [state[:, 0] for state in model(**inputs, output_hidden_states=True).hidden_states]
    pairs = pairwise(states)
    return torch.stack([1 - functional.cosine_similarity(before, after) for before, after in pairs], dim=1)
