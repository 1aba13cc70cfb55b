"""Soft extraction: tokens fade by their rank before they leave (PoWER-BERT, Goyal et al. 2020, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from leanformer.encoders.carried_tokens import PARTS, Tokens
from leanformer.encoders.view import EncoderView


def faded(states: Tensor, tokens: Tokens, factors: Tensor) -> Tensor:
    """Multiply each token by the factor of its rank.

    Args:
        states: (batch, tokens, hidden).
        tokens: Their significance; the first token counts as the most significant of all.
        factors: (PARTS,).

    Returns:
        (batch, tokens, hidden); the first token stays whole, padding is left as it is.
    """
    noted: Any = tokens.significance
    scores = noted.float().masked_fill(~tokens.real, -torch.inf)
    scores = torch.cat([torch.full_like(scores[:, :1], torch.inf), scores[:, 1:]], dim=1)
    ranks = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    part = (ranks * PARTS // tokens.lengths).clamp(max=PARTS - 1)
    factor = torch.where(tokens.real, factors[part], 1.0)
    factor = torch.cat([torch.ones_like(factor[:, :1]), factor[:, 1:]], dim=1)
    return states * factor[..., None].to(states.dtype)


@contextmanager
def tokens_faded(view: EncoderView, gates: Mapping[int, Callable[[], Tensor]]) -> Iterator[None]:
    """Fade the tokens behind some layers' attention for the length of a `with` block.

    Args:
        view: A model made by `leanformer.structure.tokens.with_kept_tokens`, set to keep all tokens.
        gates: By layer, what gives the factors that are in force now.

    Yields:
        Nothing.
    """

    def fade(gate: Callable[[], Tensor]) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(norm: Any, given: Any, normed: Tensor) -> Tensor:
            return faded(normed, norm.tokens, gate())

        return hook

    with ExitStack() as stack:
        for layer, gate in gates.items():
            norm = view.layers[layer].get_submodule(view.family.attention_end)
            stack.callback(norm.register_forward_hook(fade(gate)).remove)
        yield
