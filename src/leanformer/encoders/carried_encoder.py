"""The loop of a compressed encoder: one pass through the layers, on which tokens and whole texts leave.

Leanformer copies this file into a compressed checkpoint with `carried.py`, which imports it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from .carried_attention import LeanAttention, NoAttention, mix_in
from .carried_exits import ExitHead, Leaving
from .carried_merging import PROPORTIONAL, MergedTokens, MergingNorm, merged_parts
from .carried_tokens import SIGNIFICANCE, ReducingNorm, Tokens, TokenScorer


class LeanEncoder:
    """Mixin of a family's encoder class: one loop around the same layers.

    Attributes:
        family: Where the encoder keeps its layers.
        tokens: What is left of the batch.
        restores: Whether the last state of every token is returned, in its place, for heads that read all of them.
        exits: Heads by the number of the layer that they follow.
        leaving: Which texts have left; without a policy none does.
    """

    family: Any
    tokens: Tokens
    restores: bool
    exits: nn.ModuleDict
    leaving: Leaving

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        """Run the layers.

        Args:
            hidden_states: The embeddings, (batch, tokens, hidden).
            attention_mask: Boolean or additive, (batch, 1, 1 or tokens, tokens); None where nothing is padded.
            **kwargs: What families pass besides.

        Returns:
            The states of the texts and tokens that are left, or of all tokens: (batch, tokens, hidden).
        """
        encoder: Any = self
        names = ("output_attentions", "output_hidden_states", "return_dict", "cache", "use_cache")
        asked = {name: kwargs.pop(name, None) for name in names}
        bias = encoder.compute_position_bias(hidden_states) if self.family.shared_bias else None
        tokens, leaving = self.tokens, self.leaving
        tokens.begin(hidden_states, attention_mask, bias)
        may_leave = bool(leaving.policy) and not encoder.training
        leaving.clear()
        if may_leave:
            leaving.begin(hidden_states, len(encoder.layer))
        every, seen = hidden_states, [hidden_states]
        for number, layer in enumerate(encoder.layer):
            besides = () if bias is None else (tokens.bias,)
            out = layer(hidden_states, tokens.mask, *besides, **kwargs)
            hidden_states = out[0] if isinstance(out, tuple) else out
            if may_leave and str(number) in encoder.exits:
                logits, wrong = encoder.exits[str(number)](hidden_states, tokens.real)
                hidden_states = tokens.rows(hidden_states, leaving.stay(logits, wrong, number + 1))
            every = tokens.restored(every, hidden_states) if self.restores else hidden_states
            seen.append(every)
            if may_leave and not len(every):  # all texts have left
                break
        tokens.end()
        states = tuple(seen) if asked["output_hidden_states"] else None
        if asked["return_dict"] is False:
            return (every,) if states is None else (every, states)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=every, hidden_states=states)


def take_over(encoder: Any, family: Any, restores: bool) -> None:
    """Let the loop above run an encoder's layers; nothing leaves yet.

    Args:
        encoder: The module that runs the layers.
        family: Its family.
        restores: Whether the head reads all tokens.
    """
    mix_in(encoder, LeanEncoder, family)
    encoder.tokens, encoder.restores = Tokens(), restores
    encoder.exits, encoder.leaving = nn.ModuleDict(), Leaving()


def reduce_tokens(
    encoder: Any,
    layers: nn.ModuleList,
    family: Any,
    shares: list[float],
    scored: list[bool],
    merges: bool = False,
) -> None:
    """Let tokens leave inside some layers.

    Args:
        encoder: The module that runs the layers, taken over.
        layers: Its layers.
        family: Its family.
        shares: What each layer keeps of the text's length, never rising.
        scored: Which layers rank the tokens by a scorer of their own.
        merges: Whether they are merged into others; from then on attention goes by size.
    """
    left = 1.0
    encoder.tokens = MergedTokens() if merges else encoder.tokens
    for layer, share, has_scorer in zip(layers, shares, scored, strict=True):
        attention: Any = layer.get_submodule(family.attention)
        by_size = merges and left < 1
        if isinstance(attention, NoAttention) or not (share < left or by_size):
            continue
        if share < left:
            norm: Any = layer.get_submodule(family.attention_end)
            width = norm.normalized_shape[-1]
            mix_in(norm, MergingNorm if merges else ReducingNorm, family)
            norm.tokens, norm.kept_share, norm.parts = encoder.tokens, share, merged_parts(left, share)
            norm.scorer = TokenScorer(width) if has_scorer else None
            left = share
            if has_scorer:
                continue
        if family.shared_bias and not isinstance(attention, LeanAttention):
            mix_in(attention, LeanAttention, family)  # its own forward knows no other attention
            attention.heads = attention.num_attention_heads
            attention.head_size = attention.attention_head_size
            attention.kept_heads = list(range(attention.heads))
        attention.config = copy.copy(getattr(attention, "config", None) or encoder.config)
        attention.config._attn_implementation = PROPORTIONAL if merges else SIGNIFICANCE
        attention.tokens = encoder.tokens


def add_exits(model: Any, encoder: Any, exits: dict[str, Any], policy: dict[str, Any] | None) -> None:
    """Put heads between the layers, and let texts leave by a policy.

    Args:
        model: The classifier.
        encoder: The module that runs its layers, taken over.
        exits: "layers" (numbers), "size" of a head, "judges" whether it says how sure it may be.
        policy: "name" and "threshold"; None lets no text leave.
    """
    width, labels = model.config.hidden_size, model.config.num_labels
    for layer in exits["layers"]:
        encoder.exits[str(layer)] = ExitHead(width, exits["size"], labels, exits["judges"])
    if policy:
        encoder.leaving = Leaving(policy["name"], policy["threshold"])
    model.register_forward_hook(_answer_all)


def _answer_all(model: Any, given: Any, output: Any) -> Any:
    """Put the answers of texts that have left beside those of the last head."""
    family = model.family
    leaving = model.base_model.get_submodule(family.layers.rpartition(".")[0]).leaving
    if leaving.answers:
        output["logits"] = leaving.merged(output["logits"])
    return output
