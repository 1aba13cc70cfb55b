"""Surgery: masks of heads, their dimensions and neurons become a physically smaller model with the same outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leanformer.encoders.lean import config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import PADDING, Kept, kept_units, layer_shapes
from leanformer.structure.masks import GATED, QUERY_KEY, Masks, check_masks, gated_linear

State = dict[str, Tensor]


def _check_binary(masks: Masks) -> None:
    for (layer, kind), mask in masks.items():
        if kind not in GATED:
            raise ValueError(
                f"Only masks of {', '.join(GATED)} can be sliced, not '{kind}'; use make_permanent."
            )
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(f"The {kind} mask of layer {layer} is not made of 0 and 1; round it first.")


def _picked(tensor: Tensor, indices: Tensor, dim: int) -> Tensor:
    """Return rows or columns of a tensor in the order of indices, zeros for `PADDING`."""
    indices = indices.to(tensor.device)
    picked = tensor.index_select(dim, indices.clamp_min(0))
    return picked.index_fill(dim, (indices == PADDING).nonzero().squeeze(1), 0.0)


def _slice_rows(state: State, path: str, rows: Tensor) -> None:
    """Keep rows of a linear: outputs of weight (out, in) and bias (out,)."""
    for name in (f"{path}.weight", f"{path}.bias"):
        if name in state:
            state[name] = _picked(state[name], rows, 0)


def _slice_columns(state: State, path: str, columns: Tensor) -> None:
    """Keep columns of a linear: inputs of weight (out, in); its bias is not touched."""
    weight = state.pop(f"{path}.weight")
    if len(columns):
        state[f"{path}.weight"] = _picked(weight, columns, 1)


def _drop(state: State, path: str) -> None:
    for name in (f"{path}.weight", f"{path}.bias"):
        state.pop(name, None)


def _slice_attention(state: State, view: EncoderView, layer: int, prefix: str, kept: Kept) -> None:
    """Keep heads and dimensions of one layer in the state dict.

    Padding is zero on both sides of each product, in queries and keys, in values and the columns that read them, so
    that its gradients are zero too and training leaves it as it is.
    """
    if not view.heads(layer):
        return
    family, query_key, values = view.family, kept.query_key.flatten(), kept.values.flatten()
    rows = {family.query: query_key, family.key: query_key, family.value: values}
    if family.fused:
        # One linear of queries, keys and values one after the other; those of queries and keys are never padded.
        start = view.heads(layer) * view.query_key_size(layer)
        shifted = torch.where(values == PADDING, PADDING, values + 2 * start)
        rows = {family.query: torch.cat([query_key, query_key + start, shifted])}
    for path, chosen in rows.items():
        if len(kept.heads):
            _slice_rows(state, prefix + path, chosen)
        else:
            _drop(state, prefix + path)
    _slice_columns(state, prefix + family.attention_out, values)


def _slice_neurons(state: State, view: EncoderView, layer: int, prefix: str, kept: Tensor) -> None:
    """Keep FFN neurons of one layer in the state dict."""
    before, family = view.width(layer), view.family
    if len(kept) == before:
        return
    if len(kept):
        # A gated FFN's input linear is (2, width) rows.
        rows = torch.cat([kept, kept + before]) if family.gated else kept
        _slice_rows(state, prefix + family.ffn_in, rows)
    else:
        _drop(state, prefix + family.ffn_in)
    _slice_columns(state, prefix + family.ffn_out, kept)


def slice_units(model: Any, masks: Masks, multiple: int = 1) -> Any:
    """Return a physically smaller copy of a model, without the units that the masks remove.

    The outputs are those of the masked model, up to rounding. A sub-layer without units is its output bias. Where
    heads keep different numbers of dimensions, all are padded with zeros to the layer's longest; the scores' scale
    stays that of the dense head size. The result can be sliced again; padding then counts as dimensions.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        masks: 0/1 masks of heads, neurons and dimensions, in the model's present sizes; layers without one are kept
            whole. A head that keeps no value is removed.
        multiple: To a multiple of this a head's size is rounded up, at most to its present size, where masks of
            dimensions make it smaller: runtimes like multiples of 8.

    Returns:
        A lean model, in the mode and on the device of the given one; it shares no weights with it.

    Raises:
        ModelError: The architecture or the task head is not supported, its linears are products, or it drops tokens.
        ValueError: A mask does not fit the model, is of a matrix, or has other values than 0 and 1; or the multiple
            is below 1.
    """
    if multiple < 1:
        raise ValueError(f"The size of a head can not be a multiple of {multiple}; give 1 or more.")
    view = EncoderView(model)
    check_masks(view, masks)
    _check_binary(masks)
    if masks and any(view.ranks(layer) for layer in range(view.n_layers)):
        raise ModelError(
            "Units of a model whose linears are products can not be removed; prune it before its ranks."
        )
    if view.kept_tokens(view.n_layers - 1) < 1:
        raise ModelError(
            "Units of a model that drops tokens can not be removed, for they choose the tokens; prune it before."
        )
    state = dict(model.state_dict())
    base = "" if model.base_model is model else f"{model.base_model_prefix}."
    kept = kept_units(view, masks, multiple)
    for layer in range(view.n_layers):
        prefix = f"{base}{view.family.layers}.{layer}."
        _slice_attention(state, view, layer, prefix, kept[layer])
        _slice_neurons(state, view, layer, prefix, kept[layer].neurons)
    lean_class = lean_class_for(model)
    config = config_for(lean_class, model.config, per_layer_config=dict(enumerate(layer_shapes(view, kept))))
    copied = {name: tensor.detach().clone() for name, tensor in state.items()}
    return rebuild(model, lean_class, config, copied)


@torch.no_grad()
def fold_gates(model: Any, gates: Masks) -> None:
    """Multiply by gates, in place and for good, the weights that read or make what is gated; the outputs stay.

    Args:
        model: A transformers encoder model of a supported family.
        gates: Of heads, dimensions and neurons, any float.

    Raises:
        ValueError: A gate does not fit the model, or is of another kind.
    """
    view = EncoderView(model)
    check_masks(view, gates)
    for (layer, kind), gate in gates.items():
        if kind not in GATED:
            raise ValueError(f"Only gates of {', '.join(GATED)} can be folded, not of '{kind}'.")
        linear = gated_linear(view, layer, kind)
        if linear is None:
            continue
        repeats = view.value_size(layer) if kind == "head" else 1
        factor = gate.to(linear.weight.device, linear.weight.dtype).repeat_interleave(repeats)
        if kind == QUERY_KEY:
            linear.weight.mul_(factor[:, None])
            linear.bias.mul_(factor)
        else:
            linear.weight.mul_(factor)
