"""Encoders whose layers keep ever fewer tokens: what attention hardly looks at leaves before the FFN.

Leanformer copies this file into a compressed checkpoint with `carried.py`, which imports it. How many tokens a layer
keeps is a share of the text's own length, so that a text's answer does not depend on its neighbours in the batch, and
so that batch and length stay open in an exported graph.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from .carried_attention import eager_attention

SIGNIFICANCE = "leanformer-significance"
PARTS = 64  # a share is a multiple of 1/64: whole numbers alone are the same in every runtime


def count_of(length: Any, share: float) -> Any:
    """Return how many of `length` tokens a share keeps, rounded up; at least one of any."""
    # not by -(-a // b): OpenVINO rounds quotients below 0 towards 0
    return (length * max(1, round(share * PARTS)) + PARTS - 1) // PARTS


def lengths_of(real: torch.Tensor) -> torch.Tensor:
    """Count the tokens that are no padding, (batch, tokens) to (batch, 1)."""
    # not by sum: where its result is read once, OpenVINO (2026.4) fuses a sum with the arithmetic behind it, wrongly
    return real.cumsum(dim=1)[:, -1:]


def rows_of(states: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Take (batch, fewer tokens) of (batch, tokens, hidden), each text its own.

    Whole rows of one table: `gather` asks for an index of every number, and OpenVINO writes all of them out.
    """
    batch, tokens = states.shape[:2]
    places = index + tokens * torch.arange(batch, device=index.device)[:, None]
    return states.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, (batch, index.shape[1]))


class Tokens:
    """Which tokens of a batch are still there; one object for all layers of an encoder, set anew by each call.

    Attributes:
        width: Tokens of the longest text, padding included, before any left.
        lengths: Each text's own, (batch, 1).
        real: Which of the present tokens are no padding, (batch, tokens).
        mask: The attention mask of the present tokens, (batch, 1, 1, tokens); None where nothing is padded.
        bias: What the family adds to all scores, (batch, dense heads, tokens, tokens), or None.
        positions: Where each present token stood in the text, (batch, tokens).
        significance: How much attention each present token received in the present layer, (batch, tokens).
    """

    width: Any
    lengths: torch.Tensor
    real: torch.Tensor
    mask: torch.Tensor | None
    bias: torch.Tensor | None
    positions: torch.Tensor
    significance: torch.Tensor | None = None

    def begin(
        self, states: torch.Tensor, mask: torch.Tensor | None, bias: torch.Tensor | None = None
    ) -> None:
        """Start with all tokens of (batch, tokens, hidden)."""
        batch, self.width = states.shape[:2]
        if mask is None:
            self.mask, self.real = None, states.new_ones((batch, self.width), dtype=torch.bool)
        else:
            self.mask = mask[:, :, :1]  # in an encoder all queries see the same tokens
            first = self.mask[:, 0, 0]
            self.real = first if first.dtype == torch.bool else first == 0
            self.real = self.real.expand(batch, self.width)
        self.lengths = lengths_of(self.real)
        self.positions = torch.arange(self.width, device=states.device).expand(batch, self.width)
        self.bias = bias

    def __deepcopy__(self, memo: dict[int, Any]) -> Tokens:
        """Copies of a model have tokens of their own, not those of the last batch."""
        return Tokens()

    def end(self) -> None:
        """Forget the batch but for where its tokens stood."""
        self.significance = self.mask = self.bias = None

    def rows(self, states: torch.Tensor, stays: torch.Tensor) -> torch.Tensor:
        """Go on with some texts of the batch, and with as many tokens as the longest of them has.

        Args:
            states: (batch, tokens, hidden).
            stays: Which texts, (batch,).

        Returns:
            (fewer texts, fewer tokens, hidden).
        """
        there = self.real[stays].any(dim=0).nonzero()
        width = int(there.max()) + 1 if len(there) else 1  # a head reads the first token, of no text, too
        self.real, self.positions = self.real[stays, :width], self.positions[stays, :width]
        self.lengths = self.lengths[stays]
        self.mask = (
            None if self.mask is None else self.mask.expand(len(stays), -1, -1, -1)[stays, ..., :width]
        )
        self.bias = None if self.bias is None else self.bias[stays, :, :width, :width]
        return states[stays, :width]

    def restored(self, every: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Put (batch, fewer tokens, hidden) back into (batch, tokens, hidden); others keep their last state."""
        index = self.positions[..., None].expand_as(states)
        # what a shorter text has dropped may still be here, as padding: how long depends on its neighbours
        return every.scatter(1, index, torch.where(self.real[..., None], states, every.gather(1, index)))

    def keep(self, states: torch.Tensor, scores: torch.Tensor, share: float) -> torch.Tensor:
        """Drop the tokens with the lowest scores.

        Args:
            states: (batch, tokens, hidden).
            scores: (batch, tokens); the first token stays whatever its score, padding leaves first.
            share: Of each text's original length that is kept.

        Returns:
            (batch, fewer tokens, hidden), in the order of the text.
        """
        scores = scores.float().masked_fill(~self.real, -torch.inf)
        scores = torch.cat([torch.full_like(scores[:, :1], torch.inf), scores[:, 1:]], dim=1)
        order = scores.topk(count_of(self.width, share), dim=1).indices  # the best first
        wanted = torch.arange(order.shape[1], device=order.device) < count_of(self.lengths, share)
        kept = wanted & self.real.gather(1, order)
        return self._taken(states, kept, order)

    def only(self, states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Drop whatever is not kept: any number of tokens of each text, as while a policy is learned.

        Args:
            states: (batch, tokens, hidden).
            kept: Which tokens, (batch, tokens); the first one stays in any case.

        Returns:
            (batch, tokens of the text that keeps most, hidden), in the order of the text.
        """
        place = torch.arange(states.shape[1], device=states.device)
        kept = (kept & self.real) | (place == 0)
        if self.mask is None:  # texts of the same length keep different numbers
            self.mask = self._mask_like(states.new_zeros(0))
        most = int(kept.sum(dim=1).max())
        order = (~kept).byte().argsort(dim=1, stable=True)[:, :most]  # the kept ones first
        return self._taken(states, kept.gather(1, order), order)

    def _taken(self, states: torch.Tensor, kept: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Go on with the tokens at `order`, (batch, fewer tokens); those not `kept` are padding."""
        present = states.shape[1]
        # in the order of the text; what a shorter text does not keep lies behind it, as padding
        key = torch.where(kept, order, order + present).sort(dim=1).values
        self.real = key < present
        index = torch.where(self.real, key, key - present)
        self.positions = self.positions.gather(1, index)
        if self.mask is not None:  # a batch without padding keeps as many of each text, and needs none
            self.mask = self._mask_like(self.mask)
        if self.bias is not None:
            heads = self.bias.shape[1]
            rows = index[:, None, :, None].expand(-1, heads, -1, present)
            columns = index[:, None, None, :].expand(-1, heads, index.shape[1], -1)
            self.bias = self.bias.gather(2, rows).gather(3, columns)
        return rows_of(states, index)

    def _mask_like(self, mask: torch.Tensor) -> torch.Tensor:
        """Return what hides padding now, (batch, 1, 1, tokens), boolean or additive as the mask before."""
        real = self.real[:, None, None]
        if mask.dtype == torch.bool:
            return real
        return torch.zeros_like(real, dtype=mask.dtype).masked_fill(~real, torch.finfo(mask.dtype).min)


class TokenScorer(nn.Module):
    """Says of each token whether it is worth reading on: the policy of TR-BERT (Ye et al. 2021, arXiv 2105.11618).

    Args:
        width: Of a token's state.
        size: Of the layer between.
    """

    def __init__(self, width: int, size: int = 32) -> None:
        super().__init__()
        self.inner = nn.Linear(width, size)
        self.outer = nn.Linear(size, 1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, hidden) to logits (batch, tokens)."""
        return self.outer(nn.functional.gelu(self.inner(states))).squeeze(-1)


def significance(probabilities: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return how much attention each token receives from the others (PoWER-BERT, Goyal et al. 2020, section 3.2).

    Args:
        probabilities: (batch, heads, queries, keys).
        real: Which tokens are no padding, (batch, tokens): padding asks nothing, where the public code lets it.

    Returns:
        (batch, tokens): the mean over heads of each column's sum, its own diagonal left out.
    """
    mean = probabilities.mean(dim=1)  # heads first: less to multiply
    asks = real.to(mean.dtype)
    received = torch.bmm(asks[:, None], mean)[:, 0]
    place = torch.arange(real.shape[1], device=real.device)
    own = mean.gather(2, place[:, None].expand(*mean.shape[:2], 1))[..., 0]
    return received - own * asks


def attend_and_note(module: Any, *given: Any, **named: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend as `carried_attention.eager_attention` does, and note the tokens' significance."""
    context, probabilities = eager_attention(module, *given, **named)
    module.tokens.significance = significance(probabilities, module.tokens.real)
    return context, probabilities


transformers.AttentionInterface.register(SIGNIFICANCE, attend_and_note)


class ReducingNorm:
    """Mixin of the norm after attention: tokens leave behind it, so that the layer's FFN runs on what is kept.

    Attributes:
        tokens: The encoder's tokens.
        kept_share: Of each text's original length.
        scorer: Ranks the tokens; where there is none, the attention that they receive does.
    """

    tokens: Tokens
    kept_share: float
    scorer: TokenScorer | None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, hidden) to (batch, fewer tokens, hidden)."""
        normed = super().forward(states)  # type: ignore[misc]
        if self.kept_share >= 1:
            return normed
        scores: Any = self.tokens.significance if self.scorer is None else self.scorer(normed)
        return self.tokens.keep(normed, scores, self.kept_share)
