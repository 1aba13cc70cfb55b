"""What masks leave of a model's layers: indices of the units that stay, and the shapes that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from leanformer.encoders.lean import Shapes
from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import DIMENSIONS, QUERY_KEY, VALUE_OUTPUT, Masks

PADDING = -1


@dataclass(frozen=True)
class Kept:
    """What of a layer stays: indices into the layer as it is now, on the CPU.

    Heads may keep different numbers of dimensions; the shorter ones are padded to the longest with `PADDING`, which
    stands for a row or a column of zeros.

    Attributes:
        heads: (kept heads,).
        query_key: Of all the layer's queries' dimensions, (kept heads, size of a head's queries).
        values: Of all the layer's values' dimensions, (kept heads, size of a head's values).
        neurons: (kept neurons,).
    """

    heads: Tensor
    query_key: Tensor
    values: Tensor
    neurons: Tensor


def settled(view: EncoderView, masks: Masks) -> Masks:
    """Return masks whose heads and dimensions agree, where a layer has masks of dimensions.

    A head without values gives nothing, so it is gone, and of a head that is gone no dimension is left. A head
    without queries and keys stays: it attends to all tokens alike.

    Args:
        view: The model's view.
        masks: The masks; they stay as they are.

    Returns:
        The same, and in such a layer the masks of heads, "query_key" and "value_output" all three.
    """
    found = dict(masks)
    for layer in {layer for layer, kind in masks if kind in DIMENSIONS}:
        heads = view.heads(layer)
        if not heads:
            continue
        head = masks.get((layer, "head"), torch.ones(heads)).cpu()
        sizes = {QUERY_KEY: view.query_key_size(layer), VALUE_OUTPUT: view.value_size(layer)}
        parts = {
            kind: masks.get((layer, kind), torch.ones(heads * size)).cpu().view(heads, size)
            for kind, size in sizes.items()
        }
        head = head * (parts[VALUE_OUTPUT] != 0).any(dim=1)
        found[layer, "head"] = head
        for kind, part in parts.items():
            found[layer, kind] = (part * (head != 0)[:, None]).flatten()
    return found


def kept_indices(masks: Masks, layer: int, kind: str, size: int) -> Tensor:
    """Return the indices of the units that a 0/1 mask keeps, all of them where there is no mask.

    Args:
        masks: The masks.
        layer: Index of the layer.
        kind: "head" or "neuron".
        size: How many such units the layer has.

    Returns:
        Sorted indices (kept,), int64, on the CPU.
    """
    mask = masks.get((layer, kind))
    return torch.arange(size) if mask is None else mask.detach().cpu().nonzero().squeeze(1)


def kept_units(view: EncoderView, masks: Masks, multiple: int = 1) -> dict[int, Kept]:
    """Return what masks leave of each layer.

    Args:
        view: The model's view.
        masks: 0/1 masks of heads, dimensions and neurons.
        multiple: To a multiple of this the size of a head is rounded up, where masks of dimensions make it smaller.

    Returns:
        By layer.
    """
    masks = settled(view, masks)
    found = {}
    for layer in range(view.n_layers):
        heads = kept_indices(masks, layer, "head", view.heads(layer))
        neurons = kept_indices(masks, layer, "neuron", view.width(layer))
        query_key, values = (
            _dimensions(masks.get((layer, kind)), heads, view.heads(layer), size, multiple)
            for kind, size in (
                (QUERY_KEY, view.query_key_size(layer)),
                (VALUE_OUTPUT, view.value_size(layer)),
            )
        )
        found[layer] = Kept(heads, query_key, values, neurons)
    return found


def _dimensions(mask: Tensor | None, heads: Tensor, before: int, size: int, multiple: int) -> Tensor:
    """Return which dimensions some heads keep, (kept heads, new size), padded to the longest."""
    places = torch.arange(before * size).view(before, size)[heads]  # (kept heads, size)
    if mask is None or not len(heads):
        return places
    kept = mask.detach().cpu().view(before, size)[heads] != 0
    longest = max(1, int(kept.sum(dim=1).max()))
    order = (~kept).int().argsort(dim=1, stable=True)  # what stays first, in its old order
    order = order[:, : min(size, -(-longest // multiple) * multiple)]
    return places.gather(1, order).masked_fill(~kept.gather(1, order), PADDING)


def layer_shapes(view: EncoderView, kept: Mapping[int, Kept] | None = None) -> Shapes:
    """Return the layers' entries in a lean configuration.

    Args:
        view: The model's view.
        kept: What of each layer stays; all of it by default.

    Returns:
        Sizes under transformers' own names, and ours: "query_key_size", "value_size", "hard_attention",
        "kept_tokens" and "token_scorer", which are left out where they are the dense model's in all layers
        (transformers wants them in all or none), and "kept_heads" where heads share a table: the columns that the
        kept ones use; and "ranks" of products.
    """
    kept = kept_units(view, {}) if kept is None else kept
    shapes = [_shape(view, layer, kept[layer]) for layer in range(view.n_layers)]
    if any(view.ranks(layer) for layer in range(view.n_layers)):
        for layer, shape in enumerate(shapes):
            shape["ranks"] = view.ranks(layer)
    dense: dict[str, Any] = {"query_key_size": view.head_size, "value_size": view.head_size}
    dense |= {"hard_attention": 0, "kept_tokens": 1.0, "token_scorer": False}
    for name, usual in dense.items():
        if all(shape[name] == usual for shape in shapes):
            for shape in shapes:
                del shape[name]
    return shapes


def _shape(view: EncoderView, layer: int, kept: Kept) -> dict[str, Any]:
    left = kept.heads.tolist()
    shape: dict[str, Any] = {
        "num_attention_heads": len(left),
        "intermediate_size": len(kept.neurons),
        "query_key_size": kept.query_key.shape[1] if left else view.head_size,
        "value_size": kept.values.shape[1] if left else view.head_size,
        "hard_attention": (view.hard_attention(layer) or 0) if left else 0,
        "kept_tokens": view.kept_tokens(layer),
        "token_scorer": view.token_scorer(layer) is not None,
    }
    if view.family.shared_bias:
        columns = view.kept_heads(layer)
        shape["kept_heads"] = [columns[head] for head in left]
    return shape
