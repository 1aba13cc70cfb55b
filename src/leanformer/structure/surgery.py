"""Surgery: masks of heads and neurons become a physically smaller model with the same outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leanformer.encoders.lean import Shapes, config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import UNITS, Masks, check_masks

State = dict[str, Tensor]


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


def _check_binary(masks: Masks) -> None:
    for (layer, kind), mask in masks.items():
        if kind not in UNITS:
            raise ValueError(f"Only head and neuron masks can be sliced, not '{kind}'; use make_permanent.")
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(f"The {kind} mask of layer {layer} is not made of 0 and 1; round it first.")


def _slice_rows(state: State, path: str, rows: Tensor) -> None:
    """Keep rows of a linear: outputs of weight (out, in) and bias (out,)."""
    for name in (f"{path}.weight", f"{path}.bias"):
        if name in state:
            state[name] = state[name][rows.to(state[name].device)]


def _slice_columns(state: State, path: str, columns: Tensor) -> None:
    """Keep columns of a linear: inputs of weight (out, in); its bias is not touched."""
    weight = state.pop(f"{path}.weight")
    if len(columns):
        state[f"{path}.weight"] = weight[:, columns.to(weight.device)]


def _drop(state: State, path: str) -> None:
    for name in (f"{path}.weight", f"{path}.bias"):
        state.pop(name, None)


def _slice_heads(state: State, view: EncoderView, layer: int, prefix: str, heads: Tensor) -> None:
    """Keep heads of one layer in the state dict."""
    before, family = view.heads(layer), view.family
    if len(heads) == before:
        return
    columns = torch.arange(before * view.head_size).view(before, -1)[heads].flatten()  # of the context
    # A fused projection is (3, heads, head_size) rows.
    parts = 3 if family.fused else 1
    rows = torch.cat([columns + part * before * view.head_size for part in range(parts)])
    for path in {family.query, family.key, family.value}:
        if len(heads):
            _slice_rows(state, prefix + path, rows)
        else:
            _drop(state, prefix + path)
    _slice_columns(state, prefix + family.attention_out, columns)


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


def slice_units(model: Any, masks: Masks) -> Any:
    """Return a physically smaller copy of a model, without the heads and neurons that the masks remove.

    The outputs are those of the masked model, up to rounding. A sub-layer without units is its output bias.
    The result can be sliced again.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        masks: 0/1 masks of heads and neurons, in the model's present sizes; layers without one are kept whole.

    Returns:
        A lean model, in the mode and on the device of the given one; it shares no weights with it.

    Raises:
        ModelError: The architecture or the task head is not supported.
        ValueError: A mask does not fit the model, is of a matrix, or has other values than 0 and 1.
    """
    view = EncoderView(model)
    check_masks(view, masks)
    _check_binary(masks)
    state = dict(model.state_dict())
    base = "" if model.base_model is model else f"{model.base_model_prefix}."
    shapes: Shapes = []
    for layer in range(view.n_layers):
        heads = kept_indices(masks, layer, "head", view.heads(layer))
        neurons = kept_indices(masks, layer, "neuron", view.width(layer))
        prefix = f"{base}{view.family.layers}.{layer}."
        _slice_heads(state, view, layer, prefix, heads)
        _slice_neurons(state, view, layer, prefix, neurons)
        shapes.append(layer_shape(view, layer, heads, neurons))
    lean_class = lean_class_for(model)
    config = config_for(lean_class, model.config, per_layer_config=dict(enumerate(shapes)))
    copied = {name: tensor.detach().clone() for name, tensor in state.items()}
    return rebuild(model, lean_class, config, copied)


def layer_shape(
    view: EncoderView, layer: int, heads: Tensor | None = None, neurons: Tensor | None = None
) -> dict[str, Any]:
    """Return a layer's entry in a lean configuration.

    Args:
        view: The model's view.
        layer: Index of the layer.
        heads: Indices of the heads that stay; all by default.
        neurons: Indices of the neurons that stay; all by default.

    Returns:
        Its sizes under transformers' own names; where heads share a table, the columns that the kept ones use.
    """
    left = list(range(view.heads(layer))) if heads is None else heads.tolist()
    width = view.width(layer) if neurons is None else len(neurons)
    shape: dict[str, Any] = {"num_attention_heads": len(left), "intermediate_size": width}
    if any(
        view.hard_attention(other) for other in range(view.n_layers)
    ):  # transformers wants it in all or none
        shape["hard_attention"] = (view.hard_attention(layer) or 0) if left else 0
    if view.family.shared_bias:
        columns = view.kept_heads(layer)
        shape["kept_heads"] = [columns[head] for head in left]
    return shape


@torch.no_grad()
def fold_gates(model: Any, gates: Masks) -> None:
    """Multiply the inputs of sub-layers' output linears by gates, in place and for good; the outputs stay.

    Args:
        model: A transformers encoder model of a supported family.
        gates: Of heads and neurons, any float.

    Raises:
        ValueError: A gate does not fit the model, or is of another kind.
    """
    view = EncoderView(model)
    check_masks(view, gates)
    for (layer, kind), gate in gates.items():
        if kind not in UNITS:
            raise ValueError(f"Only gates of heads and neurons can be folded, not of '{kind}'.")
        linear = view.attention_out(layer) if kind == "head" else view.ffn_out(layer)
        if linear is not None:
            repeats = view.head_size if kind == "head" else 1
            linear.weight.mul_(gate.to(linear.weight.device, linear.weight.dtype).repeat_interleave(repeats))
