"""What a policy over tokens tries: draws from its own probabilities, and what a guide says (TR-BERT, 2105.11618)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from leanformer.encoders.carried_tokens import Tokens


@dataclass(frozen=True)
class Trials:
    """How a policy is learned.

    Attributes:
        alpha: What a reward loses if all tokens stay, in units of the loss.
        samples: How often a batch's tokens are drawn.
        imitated: Share of the training in which one of the draws is not drawn, but what the guide says.
    """

    alpha: float = 1.0
    samples: int = 8
    imitated: float = 0.5


@dataclass
class Drawn:
    """What one pass drew, place by place.

    Attributes:
        guides: By layer, the score of each token of the whole text, (batch, tokens), by which the most are kept that
            the policy expects to; empty where tokens are drawn by their own probability.
        kept: Share of each text's tokens that went on, (batch,), of each place.
        surprises: -1/n sum_i log pi(a_i) of each text, (batch,), of each place; the first token is no action.
    """

    guides: Mapping[int, Tensor] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)
    surprises: list[Tensor] = field(default_factory=list)

    def __call__(self, layer: int, logits: Tensor, tokens: Tokens) -> Tensor:
        """Draw; see `leanformer.structure.tokens.tokens_drawn`."""
        free = tokens.real.clone()
        free[:, 0] = False
        chances = logits.detach().sigmoid()
        if layer in self.guides:
            guide = self.guides[layer].gather(1, tokens.positions)  # of the tokens that are still there
            stays = most_of(guide, (chances * free).sum(dim=1).round(), free)
        else:
            stays = torch.bernoulli(chances).bool() & free
        logs = torch.where(stays, functional.logsigmoid(logits), functional.logsigmoid(-logits))
        self.surprises.append(-(logs * free).sum(dim=1) / free.sum(dim=1).clamp_min(1))
        self.kept.append((1 + stays.sum(dim=1)) / tokens.lengths[:, 0].clamp_min(1))
        return stays


def most_of(scores: Tensor, counts: Tensor, free: Tensor) -> Tensor:
    """Return which tokens are among the best.

    Args:
        scores: (batch, tokens).
        counts: How many of each text, (batch,).
        free: Which tokens may be among them, (batch, tokens).

    Returns:
        (batch, tokens).
    """
    ranks = scores.masked_fill(~free, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
    return (ranks < counts[:, None]) & free
