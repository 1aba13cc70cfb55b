"""Encoders whose layers merge like tokens: bipartite soft matching (ToMe, Bolya et al. 2023, arXiv 2210.09461).

Leanformer copies this file into a compressed checkpoint with `carried.py`, which imports it. How many tokens a layer
merges is a share of those that are there, so that a text's answer does not depend on its neighbours in the batch, and
so that batch and length stay open in an exported graph.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch.nn import functional

from .carried_attention import eager_attention
from .carried_tokens import PARTS, Tokens, lengths_of

PROPORTIONAL = "leanformer-proportional-attention"
HALVES = 2 * PARTS
"""A layer merges so many parts of its tokens; at most half of them, for each merges into one that stays."""


def merged_parts(before: float, after: float) -> int:
    """Return how many parts, of `HALVES`, a layer merges of its tokens.

    Args:
        before: Share of the text's tokens that enters the layer.
        after: Share that is to leave its attention.

    Returns:
        0 to `PARTS`.
    """
    return min(PARTS, round(HALVES * (1 - after / before)))


def merged_count(present: Any, parts: int) -> Any:
    """Return how many of the present tokens are merged into others; always fewer than half, none of one or two."""
    return ((present - 1) * parts) // HALVES


class MergedTokens(Tokens):
    """Which tokens of a batch are still there, and which of the text's tokens each of them stands for.

    Attributes:
        sizes: How many tokens each present one stands for, (batch, tokens); 0 for padding once some were merged.
        places: Which present token stands for each of the text's, (batch, tokens of the text).
        keys: The present layer's keys, (batch, tokens, key size): the mean over its heads.
    """

    sizes: torch.Tensor
    places: torch.Tensor
    keys: torch.Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> MergedTokens:
        """Copies of a model have tokens of their own, not those of the last batch."""
        return MergedTokens()

    def begin(
        self, states: torch.Tensor, mask: torch.Tensor | None, bias: torch.Tensor | None = None
    ) -> None:
        """Start with all tokens of (batch, tokens, hidden), each of size 1."""
        super().begin(states, mask, bias)
        self.sizes = self.real.to(states.dtype)
        self.places = self.positions

    def end(self) -> None:
        """Forget the batch."""
        super().end()
        self.keys = None

    def restored(self, every: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Give each of the text's tokens the state of the one that stands for it, so that a mean weighs by size."""
        return states.gather(1, self.places[..., None].expand(-1, -1, states.shape[-1]))

    def merge(self, states: torch.Tensor, parts: int) -> torch.Tensor:
        """Merge the tokens that are most alike, and go on with fewer.

        Tokens at even places may go, those at odd places may receive (the paper's two sets, section 3); the first
        token always stays. Each even one has one partner, the odd one whose key is most like its own; the pairs that
        are most alike are merged, by the mean of their states that weighs each by its size.

        Args:
            states: (batch, tokens, hidden); a text's tokens lie before its padding.
            parts: How many to merge, see `merged_parts`.

        Returns:
            (batch, fewer tokens, hidden), in the order of the text.
        """
        width = states.shape[1]
        gone, partner = self._matched(parts)  # (batch, tokens) each
        stays = self.real & ~gone
        own = stays.cumsum(dim=1) - 1  # the new place of what stays
        target = torch.where(gone, own.gather(1, partner), own).clamp(min=0)
        new = torch.arange(width - merged_count(width, parts), device=states.device)
        into = (target[:, None] == new[:, None]) & self.real[:, None]  # (batch, fewer tokens, tokens)
        weights = into.to(states.dtype) * self.sizes[:, None]
        self.sizes = weights.sum(dim=2)
        states = weights @ states / self.sizes.clamp(min=1)[..., None]
        if self.bias is not None:  # a merged token stands where its partner stood
            keeps = (into & stays[:, None]).to(self.bias.dtype)[:, None]
            self.bias = keeps @ self.bias @ keeps.transpose(-1, -2)
        self.places = target.gather(1, self.places)
        self.real = self.sizes > 0
        if self.mask is not None:  # a batch without padding merges as many of each text, and needs none
            self.mask = self._mask_like(self.mask)
        return states

    def _matched(self, parts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which tokens are merged into their partners, and every token's partner, (batch, tokens) each."""
        keys: Any = self.keys
        keys = functional.normalize(keys.float(), dim=-1)
        place = torch.arange(keys.shape[1], device=keys.device)
        gives, takes = (place % 2 == 0) & (place > 0), place % 2 == 1
        may = (gives & self.real)[:, :, None] & (takes & self.real)[:, None]
        likeness = (keys @ keys.transpose(1, 2)).masked_fill(~may, -2.0)  # below every cosine
        best, partner = likeness.max(dim=2)
        # not by a sort, whose ties every runtime breaks in its own way: how many pairs come before, (batch, tokens)
        higher, level = best[:, None] > best[:, :, None], best[:, None] == best[:, :, None]
        rank = (higher | (level & (place < place[:, None]))).sum(dim=2)
        count = merged_count(lengths_of(self.real), parts)
        return rank < count, partner


def attend_by_size(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend as `carried_attention.eager_attention` does, to a token that stands for s as to s equal ones.

    The scores grow by log s (ToMe, equation 1); the keys are noted for the matching.

    Args:
        module: The attention; it has the encoder's `tokens`.
        query: (batch, heads, tokens, head size).
        key: The same shape.
        value: (batch, heads, tokens, value size).
        attention_mask: Boolean or additive, (batch, 1 or heads, 1 or tokens, tokens); or None.
        **kwargs: The scaling, the dropout, and what families pass besides.

    Returns:
        The context (batch, tokens, heads, value size), and the probabilities.
    """
    tokens = module.tokens
    tokens.keys = key.mean(dim=1)
    more = tokens.sizes.clamp(min=1).log()[:, None, None].to(query.dtype)
    if attention_mask is None:
        attention_mask = more
    elif attention_mask.dtype == torch.bool:
        attention_mask = torch.where(attention_mask, more, torch.finfo(query.dtype).min)
    else:
        attention_mask = attention_mask + more
    return eager_attention(module, query, key, value, attention_mask, **kwargs)


transformers.AttentionInterface.register(PROPORTIONAL, attend_by_size)


class MergingNorm:
    """Mixin of the norm after attention: tokens are merged behind it, so that the layer's FFN runs on fewer.

    Attributes:
        tokens: The encoder's tokens.
        parts: How many are merged, see `merged_parts`.
        kept_share: Of each text's original length, about.
    """

    tokens: MergedTokens
    parts: int
    kept_share: float

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, hidden) to (batch, fewer tokens, hidden)."""
        return self.tokens.merge(super().forward(states), self.parts)  # type: ignore[misc]
