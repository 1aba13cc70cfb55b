"""Matrices that are kept as products of two smaller ones: of word embeddings, and of linears.

Leanformer copies this file into a compressed checkpoint with `carried.py`, which imports it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class FactorisedEmbedding(nn.Module):
    """Word embeddings as a product: a narrow table, and a projection to the width of the dense one."""

    def __init__(self, dense: nn.Embedding, rank: int) -> None:
        super().__init__()
        pieces, width = dense.weight.shape
        made: Any = {"device": dense.weight.device, "dtype": dense.weight.dtype}
        self.table = nn.Embedding(pieces, rank, padding_idx=dense.padding_idx, **made)
        self.projection = nn.Linear(rank, width, bias=False, **made)

    def forward(self, ids: Tensor) -> Tensor:
        """Map (batch, tokens) to (batch, tokens, width)."""
        states: Tensor = self.projection(self.table(ids))
        return states


class LowRankLinear(nn.Linear):
    """A linear whose weight is a product: `up` (out, rank) times `down` (rank, in); the bias is that of `up`."""

    def __init__(self, dense: nn.Linear, rank: int) -> None:
        nn.Module.__init__(self)  # not nn.Linear's, which would make a weight
        made: Any = {"device": dense.weight.device, "dtype": dense.weight.dtype}
        self.in_features, self.out_features, self.rank = dense.in_features, dense.out_features, rank
        self.down = nn.Linear(dense.in_features, rank, bias=False, **made)
        self.up = nn.Linear(rank, dense.out_features, bias=dense.bias is not None, **made)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The product, (out, in), made anew: changes to it are lost."""
        return self.up.weight @ self.down.weight

    @property
    def bias(self) -> Any:  # type: ignore[override]
        """The bias, (out,), or None."""
        return self.up.bias

    def forward(self, states: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        mapped: Tensor = self.up(self.down(states))
        return mapped
