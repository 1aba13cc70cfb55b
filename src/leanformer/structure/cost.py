"""What units cost in weights, and how large a model is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.structure.kept import settled
from leanformer.structure.masks import LAYER, QUERY_KEY, TOKEN, VALUE_OUTPUT, Masks, check_masks

BYTES_PER_MB = 1_000_000
WEIGHT_FILES = {".safetensors", ".onnx", ".data", ".bin"}


def dimension_cost(view: EncoderView) -> int:
    """Return the weights of one dimension: 2 * hidden, of query and key, or of value and output."""
    return 2 * view.hidden_size


def head_cost(view: EncoderView) -> int:
    """Return the weights of one head of the dense model: 4 * hidden * head_size (query, key, value, output)."""
    return 2 * view.head_size * dimension_cost(view)


def neuron_cost(view: EncoderView) -> int:
    """Return the weights of one FFN neuron: 2 * hidden, or 3 * hidden where the FFN is gated."""
    return (3 if view.family.gated else 2) * view.hidden_size


def dimension_macs(view: EncoderView, tokens: float) -> float:
    """Return the multiply-accumulates of one dimension on a text, of queries and keys or of values.

    Args:
        view: The model's view.
        tokens: Length of the text, or the mean of many.

    Returns:
        tokens * (2 * hidden + tokens): its two matrices, and queries x keys, or probabilities x values.
    """
    return tokens * (dimension_cost(view) + tokens)


def head_macs(view: EncoderView, tokens: float) -> float:
    """Return the multiply-accumulates of one head of the dense model on a text.

    Args:
        view: The model's view.
        tokens: Length of the text, or the mean of many.

    Returns:
        tokens * (4 * hidden * head_size + 2 * tokens * head_size); softmax and norms are not counted.
    """
    return 2 * view.head_size * dimension_macs(view, tokens)


def neuron_macs(view: EncoderView, tokens: float) -> float:
    """Return the multiply-accumulates of one FFN neuron on a text of so many tokens."""
    return tokens * neuron_cost(view)


def macs_share(view: EncoderView, masks: Masks, tokens: float) -> float:
    """Return the share of the multiply-accumulates of the layers that masks of units and tokens leave.

    Of heads of different sizes each has its own, without the zeros that a sliced layer pads them with.

    Args:
        view: The dense model's view.
        masks: The masks; zeros among the weights of a matrix save nothing.
        tokens: Length of the text.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: A mask does not fit the model.
    """
    check_masks(view, masks)
    settled_masks, shares = settled(view, masks), token_shares(view, masks)
    left = whole = 0.0
    for layer, (before, after) in enumerate(pairwise([1.0, *shares])):
        dimensions, neurons = _units_left(view, settled_masks, layer)
        left += dimensions * dimension_macs(view, before * tokens) + neurons * neuron_macs(
            view, after * tokens
        )
        dimensions, neurons = _units_left(view, {}, layer)
        whole += dimensions * dimension_macs(view, tokens) + neurons * neuron_macs(view, tokens)
    return left / whole


def token_shares(view: EncoderView, masks: Masks) -> list[float]:
    """Return what share of a text's tokens is left after each layer's attention: never more than before.

    Args:
        view: The dense model's view.
        masks: The masks; without one of kind "token" a layer drops none.

    Returns:
        One share a layer.
    """
    whole = torch.ones(1)
    return list(accumulate((float(masks.get((i, TOKEN), whole).mean()) for i in range(view.n_layers)), min))


def token_ratio(view: EncoderView, masks: Masks) -> float:
    """Return the share of all products of a token with a weight that dropped tokens save, from 0 to 1.

    Args:
        view: The dense model's view.
        masks: Masks of kind "token".

    Returns:
        Saved products / all products of the six matrices; those of tokens with tokens are not counted.
    """
    costs, left = unit_costs(view), 0.0
    for layer, (before, after) in enumerate(pairwise([1.0, *token_shares(view, masks)])):
        dimensions, neurons = _units_left(view, {}, layer)
        left += dimensions * costs[VALUE_OUTPUT] * before + neurons * costs["neuron"] * after
    return 1.0 - left / view.prunable_weights()


def unit_costs(view: EncoderView) -> dict[str, float]:
    """Return the weights of one unit of the dense model, by its kind; of a matrix a unit is one weight."""
    return {
        "head": head_cost(view),
        "neuron": neuron_cost(view),
        QUERY_KEY: dimension_cost(view),
        VALUE_OUTPUT: dimension_cost(view),
        **dict.fromkeys(MATRICES, 1.0),
    }


def encoder_weights(view: EncoderView) -> int:
    """Return the weights of all heads and neurons that the model has now (biases and norms excluded)."""
    return sum(round(_of_layer(view, layer, unit_costs(view))) for layer in range(view.n_layers))


def removed_weights(view: EncoderView, masks: Masks) -> int:
    """Return how many weights of the six matrices the masks remove; zeros that pad a sliced layer count as removed.

    Args:
        view: The model's view.
        masks: Masks of units, of matrices, or of layers; not several of these on one sub-layer, but masks of heads
            and of their dimensions go together.

    Returns:
        The number of weights under a zero.

    Raises:
        ValueError: A mask does not fit the model.
    """
    check_masks(view, masks)
    return round(_removed(view, masks, unit_costs(view)))


def pruning_ratio(view: EncoderView, masks: Masks, granularity: str = "unit") -> float:
    """Return the share of what a granularity can remove, from 0 to 1, that the masks remove.

    Args:
        view: The model's view.
        masks: The masks; parts without a mask are kept.
        granularity: "head" or "neuron" for the share of those, "token" for that of `token_ratio`; else it is one of
            all weights of the six matrices.

    Returns:
        Removed weights / all weights that can be removed.

    Raises:
        ValueError: A mask does not fit the model.
    """
    if granularity == TOKEN:
        return token_ratio(view, masks)
    layers, cost = range(view.n_layers), unit_costs(view)
    if granularity == "head":
        total = sum(view.heads(layer) * _of_head(view, layer, cost) for layer in layers)
    elif granularity == "neuron":
        total = sum(view.width(layer) * cost["neuron"] for layer in layers)
    else:
        total = view.prunable_weights()
    return removed_weights(view, masks) / total


def size_mb(model_or_folder: Any) -> float:
    """Return the size of a model's weights in megabytes (10^6 bytes).

    Args:
        model_or_folder: A model (its parameters in memory, tied ones once), or a folder of any runtime (its
            weight files).

    Returns:
        Megabytes.

    Raises:
        FileNotFoundError: The folder has no weight file.
    """
    if not isinstance(model_or_folder, str | Path):
        return sum(p.numel() * p.element_size() for p in model_or_folder.parameters()) / BYTES_PER_MB
    files = [path for path in Path(model_or_folder).iterdir() if path.suffix in WEIGHT_FILES]
    if not files:
        raise FileNotFoundError(f"No weight file in {model_or_folder}.")
    return sum(path.stat().st_size for path in files) / BYTES_PER_MB


def _units_left(view: EncoderView, masks: Masks, layer: int) -> tuple[float, float]:
    """How many dimensions, of queries with keys and of values, and how many neurons settled masks leave a layer."""
    if (layer, LAYER) in masks and not masks[layer, LAYER].any():
        return 0.0, 0.0
    sizes = {QUERY_KEY: view.query_key_size(layer), VALUE_OUTPUT: view.value_size(layer)}
    heads = masks.get((layer, "head"), torch.ones(view.heads(layer)))
    dimensions = sum(
        float((masks[layer, kind] != 0).sum()) if (layer, kind) in masks else float((heads != 0).sum()) * size
        for kind, size in sizes.items()
    )
    neurons = masks.get((layer, "neuron"), torch.ones(view.width(layer)))
    return dimensions, float((neurons != 0).sum())


def _of_head(view: EncoderView, layer: int, cost: Mapping[str, float]) -> float:
    """What a head of a layer costs, in its present size."""
    return view.query_key_size(layer) * cost[QUERY_KEY] + view.value_size(layer) * cost[VALUE_OUTPUT]


def _of_layer(view: EncoderView, layer: int, cost: Mapping[str, float]) -> float:
    """What all heads and neurons of a layer cost."""
    return view.heads(layer) * _of_head(view, layer, cost) + view.width(layer) * cost["neuron"]


def _removed(view: EncoderView, masks: Masks, cost: Mapping[str, float]) -> float:
    """What the zeros of masks cost, by kind; a layer costs what its heads and neurons do."""
    removed, masks = 0.0, settled(view, masks)
    for (layer, kind), mask in masks.items():
        if kind == TOKEN:  # no weight leaves with a token
            each = 0.0
        elif kind == LAYER:
            each = _of_layer(view, layer, cost)
        elif kind == "head":  # where dimensions have masks, those of a head that is gone are zero there
            each = 0.0 if (layer, QUERY_KEY) in masks else _of_head(view, layer, cost)
        else:
            each = cost[kind]
        removed += float((mask == 0).sum()) * each
    return removed
