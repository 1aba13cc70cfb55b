"""What one matrix of a layer adds: it is replaced, and the layer runs again on what it had read.

After Li et al. 2021 (arXiv 2110.15733), who judge W_q and W_k so; how the paper does it was not readable. Ours: one
layer at a time and on undisturbed inputs, so that a matrix answers for itself and not for what later layers make of a
broken one. What stands in its place is the identity (of a matrix that is not square, ones on its main diagonal) or a
random matrix with orthonormal rows or columns, both scaled to the Frobenius norm of what they replace; biases stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from leanformer.audit.positions import ATTENTION, ATTENTION_OUT, CONTEXT, FFN_OUT, Place, Recorded
from leanformer.encoders.view import EncoderView

if TYPE_CHECKING:
    from torch import Tensor, nn

IDENTITY, ORTHOGONAL = "identity", "random orthogonal"
BEHIND = {
    "query": ATTENTION,
    "key": ATTENTION,
    "query and key": ATTENTION,
    "value": CONTEXT,
    "attention_out": ATTENTION_OUT,
    "ffn_in": FFN_OUT,
    "ffn_out": FFN_OUT,
}
"""By matrix, the first place behind it that all its kind change; each is seen at the layer's end, too."""


class Replacement(NamedTuple):
    """One matrix, or two, of one layer, and what stands in its place.

    Attributes:
        layer: The layer.
        matrix: A key of `BEHIND`.
        by: `IDENTITY` or `ORTHOGONAL`.
        weights: By path in the layer, the other weights.
    """

    layer: int
    matrix: str
    by: str
    weights: dict[str, Tensor]


def replacements(view: EncoderView, seed: int = 0) -> list[Replacement]:
    """Return all replacements of an encoder whose layers have matrices of their own for query, key and value.

    Args:
        view: The encoder.
        seed: Of the random ones.

    Returns:
        By layer, those of the matrices that it has; products of two matrices are left as they are.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    family, found = view.family, []
    for layer in range(view.n_layers):
        there = {
            name: getattr(family, name)
            for name in view.matrices(layer)
            if "weight" in view.layers[layer].get_submodule(getattr(family, name))._parameters
        }
        groups: dict[str, tuple[str, ...]] = {name: (name,) for name in there}
        if {"query", "key"} <= there.keys():
            groups["query and key"] = ("query", "key")
        for matrix, names in groups.items():
            for by in (IDENTITY, ORTHOGONAL):
                weights = {there[name]: _other(view.matrices(layer)[name], by, generator) for name in names}
                found.append(Replacement(layer, matrix, by, weights))
    return found


def _other(weight: Tensor, by: str, generator: Any) -> Tensor:
    """Return what stands for a matrix, (out, in), of its Frobenius norm."""
    import torch

    if by == IDENTITY:
        other = torch.eye(*weight.shape, dtype=weight.dtype, device=weight.device)
    else:
        other = torch.empty(weight.shape, dtype=torch.float32)
        torch.nn.init.orthogonal_(other, generator=generator)
        other = other.to(weight)
    return other * (weight.norm() / other.norm())


def places_of(one: Replacement) -> tuple[Place, ...]:
    """Return where a replacement is looked at: behind the matrix, and at the layer's end."""
    return tuple(dict.fromkeys([(one.layer, BEHIND[one.matrix]), (one.layer, FFN_OUT)]))


def with_each(
    model: Any, view: EncoderView, found: Recorded, every: Sequence[Replacement]
) -> Iterator[tuple[Replacement, dict[Place, Tensor]]]:
    """Run layers again with each replacement.

    Args:
        model: The encoder that was recorded; it may share its weights with others, which do not notice.
        view: Says where its parts are.
        found: What its last forward has left; it is overwritten.
        every: The replacements.

    Yields:
        The replacement, and the states at its places.
    """
    layers = model.get_submodule(view.family.layers)
    for one in every:
        given, named = found.calls[one.layer]
        with _in_place(layers[one.layer], one.weights):
            layers[one.layer](*given, **named)
        yield one, {place: found.states[place] for place in places_of(one)}


@contextmanager
def _in_place(layer: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """Give linears of a layer other weights for a while."""
    from torch import nn

    linears: dict[str, Any] = {path: layer.get_submodule(path) for path in weights}
    kept = {path: linear.weight for path, linear in linears.items()}
    try:
        for path, linear in linears.items():
            other = weights[path].to(kept[path].device)
            linear.weight = nn.Parameter(other, requires_grad=False)
        yield
    finally:
        for path, linear in linears.items():
            linear.weight = kept[path]
