"""What zeros among the weights leave empty: heads and neurons that can be sliced without changing an answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import Masks
from leanformer.structure.surgery import slice_units


@torch.no_grad()
def without_empty_units(model: Any) -> tuple[Any, Masks]:
    """Return a model without the heads and neurons that give nothing, or a constant.

    A head gives nothing where its columns of the output matrix are zero, and its value bias whatever it attends to
    where its value rows are: that constant is added to the output bias. A neuron likewise. Zero queries or keys are
    no reason: such a head attends evenly (nn_pruning removes it, which changes answers).

    Args:
        model: A transformers encoder model of a supported family, with zeros among its weights; it is left as it is.

    Returns:
        A lean model, and the 0/1 masks of heads and neurons with which it was sliced.

    Raises:
        ModelError: The architecture or the task head is not supported.
    """
    view, masks = EncoderView(model), {}
    constants: dict[tuple[int, str], Tensor] = {}
    for layer in range(view.n_layers):
        for kind, constant_of in (("head", _context_of_zero_values), ("neuron", _activation_of_zero_rows)):
            size = view.heads(layer) if kind == "head" else view.width(layer)
            if not size:
                continue
            out = view.matrices(layer)["attention_out" if kind == "head" else "ffn_out"]
            unheard = (out == 0).view(len(out), size, -1).all(dim=2).all(dim=0)  # (units,)
            constant = constant_of(view, layer)  # (units, size of one), NaN where it is none
            has_constant = ~constant.isnan().any(dim=1)
            if view.output_bias(layer, kind) is None:  # nowhere to put it
                has_constant &= (constant == 0).all(dim=1)
            gone = unheard | has_constant
            masks[layer, kind] = (~gone).float()
            given = torch.where((gone & ~unheard)[:, None], constant, 0.0).flatten()
            constants[layer, kind] = out @ given  # (hidden,)
    small = slice_units(model, masks)
    for (layer, kind), constant in constants.items():
        bias = EncoderView(small).output_bias(layer, kind)
        if bias is not None:
            bias.add_(constant)
    return small, masks


def _context_of_zero_values(view: EncoderView, layer: int) -> Tensor:
    """Return the value bias of heads whose value matrix is zero, (heads, head_size), NaN for the others."""
    value, heads = view.matrices(layer)["value"], view.heads(layer)
    zero = (value == 0).view(heads, -1).all(dim=1, keepdim=True)
    linear: Any = view.layers[layer].get_submodule(view.family.value)
    if linear.bias is None:
        bias = value.new_zeros(heads, len(value) // heads)
    else:
        bias = linear.bias[-len(value) :].view(heads, -1)  # values come last where the three are fused
    evenly = view.hard_attention(layer) is None  # hard attention's probabilities do not add up to one
    return torch.where(zero & ((bias == 0) | evenly), bias, torch.nan)


def _activation_of_zero_rows(view: EncoderView, layer: int) -> Tensor:
    """Return what neurons of zero rows give, (width, 1), NaN for the others; of gated ones zero alone counts."""
    matrix, width = view.matrices(layer)["ffn_in"], view.width(layer)
    linear: Any = view.layers[layer].get_submodule(view.family.ffn_in)
    bias = matrix.new_zeros(len(matrix)) if linear.bias is None else linear.bias
    zero = (matrix == 0).all(dim=1)
    if view.family.gated:
        silent = (zero & (bias == 0)).view(2, width).any(dim=0)  # both halves' activations are zero at zero
        return torch.where(silent, 0.0, torch.nan)[:, None]
    return torch.where(zero, view.activation()(bias), torch.nan)[:, None]
