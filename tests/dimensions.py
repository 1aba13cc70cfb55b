"""Masks of heads' dimensions: ragged heads, one without values, one that attends to all alike, no attention."""

from __future__ import annotations

import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import QUERY_KEY, VALUE_OUTPUT, Masks

CASES = ("values", "queries", "both", "no values", "no queries", "empty", "with units", "all kinds of heads")


def ragged(view: EncoderView, layer: int, kind: str, kept: list[int]) -> torch.Tensor:
    """A mask that keeps so many dimensions of each head, not the first ones."""
    heads = view.heads(layer)
    size = view.query_key_size(layer) if kind == QUERY_KEY else view.value_size(layer)
    mask = torch.zeros(heads, size)
    for head, count in enumerate(kept):
        order = torch.randperm(size, generator=torch.Generator().manual_seed(10 * layer + head))
        mask[head, order[:count]] = 1.0
    return mask.flatten()


def dimension_masks(view: EncoderView, case: str) -> Masks:
    """Masks of the first and the last layer of an encoder with four heads of eight; others stay whole."""
    last = view.n_layers - 1
    values = {(n, VALUE_OUTPUT): ragged(view, n, VALUE_OUTPUT, [3, 6, 1, 2]) for n in (0, last)}
    queries = {(n, QUERY_KEY): ragged(view, n, QUERY_KEY, [5, 1, 4, 2]) for n in (0, last)}
    found: Masks = {
        "values": values,
        "queries": queries,
        "both": values | queries,
        "no values": {(n, VALUE_OUTPUT): ragged(view, n, VALUE_OUTPUT, [0, 6, 0, 2]) for n in (0, last)},
        "no queries": {
            **values,
            (0, QUERY_KEY): ragged(view, 0, QUERY_KEY, [0, 5, 0, 2]),
            (last, QUERY_KEY): torch.zeros_like(queries[last, QUERY_KEY]),
        },
        "empty": {**queries, (last, VALUE_OUTPUT): torch.zeros_like(values[last, VALUE_OUTPUT])},
        "with units": {
            **values,
            **queries,
            (0, "head"): torch.tensor([1.0, 0, 1, 1]),
            (last, "neuron"): (torch.arange(view.width(last)) % 3 > 0).float(),
        },
        "all kinds of heads": {
            **queries,
            **values,
            (0, QUERY_KEY): ragged(view, 0, QUERY_KEY, [5, 0, 4, 2]),
            (0, VALUE_OUTPUT): ragged(view, 0, VALUE_OUTPUT, [0, 6, 1, 2]),
        },
    }[case]
    if view.family.fused:  # its queries and keys turn in pairs
        found = {key: mask for key, mask in found.items() if key[1] != QUERY_KEY}
    return found


def cases_of(family: str) -> tuple[str, ...]:
    """The cases that differ for a family."""
    return (
        ("values", "no values", "empty", "with units", "all kinds of heads")
        if family == "modernbert"
        else CASES
    )
