"""The attention of compressed encoders: without some heads, with smaller ones, hard, or not there at all.

Leanformer copies this file into a compressed checkpoint with `carried.py`, which imports it.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

HARD_ATTENTION = "leanformer-hard-attention"


class OnlyBias(nn.Module):
    """What is left of an output linear without inputs: its bias, or zeros where it has none."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features = linear.out_features
        self.bias = None if linear.bias is None else nn.Parameter(torch.zeros_like(linear.bias))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, anything) to (batch, tokens, out_features)."""
        shape = (*states.shape[:-1], self.out_features)
        return states.new_zeros(shape) if self.bias is None else self.bias.expand(shape)


class NoAttention(nn.Module):
    """Stands where a layer's heads were; holds the output bias where the family keeps that linear inside."""

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
        """Return the states, or the output bias in their shape, and no attention weights."""
        for out in self.children():
            hidden_states = out(hidden_states)
        return hidden_states, None


def by_head_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply (batch, heads, rows, inner) by (batch, heads, inner, columns).

    By `bmm`, for `@` is traced with an expand of both before it, which OpenVINO computes: a copy of each.
    """
    batch, heads = left.shape[:2]
    return torch.bmm(left.flatten(0, 1), right.flatten(0, 1)).unflatten(0, (batch, heads))


def _probabilities(
    query: torch.Tensor, key: torch.Tensor, attention_mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Return to what share each query attends to each key, (batch, heads, queries, keys)."""
    scores = by_head_product(query, key.transpose(-1, -2))
    scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        # added, not filled in: of 256 tokens ONNX Runtime adds it to all scores in less than half the time
        hidden = torch.zeros_like(attention_mask, dtype=scores.dtype)
        attention_mask = hidden.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    return (scores if attention_mask is None else scores + attention_mask).softmax(dim=-1)


def eager_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend by separate operators; arguments and what is returned are those of `hard_attention`."""
    probabilities = _probabilities(query, key, attention_mask, scaling)
    probabilities = nn.functional.dropout(probabilities, dropout, module.training)
    return by_head_product(probabilities, value).transpose(1, 2).contiguous(), probabilities


def hard_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend to `module.hard_top` tokens a query at most: other probabilities are zero, these stay as they are.

    Args:
        module: The attention.
        query: (batch, heads, tokens, head_size).
        key: The same shape.
        value: (batch, heads, tokens, value_size).
        attention_mask: Boolean or additive, (batch, 1, 1 or tokens, tokens); or None.
        scaling: Of the scores; by default 1 / sqrt(head_size).
        dropout: Of the probabilities while training.
        **kwargs: What families pass besides, of no effect here.

    Returns:
        The context (batch, tokens, heads, value_size), and the probabilities.
    """
    probabilities = _probabilities(query, key, attention_mask, scaling)
    padded = nn.functional.pad(probabilities, (0, module.hard_top))  # so that texts may be shorter than that
    least = padded.topk(module.hard_top, dim=-1).values[..., -1:]
    probabilities = probabilities * (probabilities >= least)
    probabilities = nn.functional.dropout(probabilities, dropout, module.training)
    return by_head_product(probabilities, value).transpose(1, 2).contiguous(), probabilities


transformers.AttentionInterface.register(HARD_ATTENTION, hard_attention)


def rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn pairs of (batch, heads, tokens, head_size) by their position's angle (RoFormer, Su et al. 2021)."""
    left, right = states.float().chunk(2, dim=-1)
    turned = torch.cat((-right, left), dim=-1)
    return (states.float() * cos.unsqueeze(1) + turned * sin.unsqueeze(1)).to(states.dtype)


def _of_one_size(*states: torch.Tensor) -> list[torch.Tensor]:
    """Pad (batch, heads, tokens, size) with zeros to the largest size; attention stays the same.

    PyTorch's fused attention on a CPU has a fast path for one size only.
    """
    size = max(part.shape[-1] for part in states)
    return [
        nn.functional.pad(part, (0, size - part.shape[-1])) if part.shape[-1] < size else part
        for part in states
    ]


class LeanAttention:
    """Mixin of a family's attention class: a head's values may be of another size than its queries and keys.

    Attributes:
        family: Where the layer keeps its attention's parts.
        heads: How many heads there are.
        head_size: Size of a head of the dense model: the scores' scale stays 1 / sqrt of it.
        kept_heads: Where all layers share a bias by head: the dense heads that are left.
    """

    family: Any
    heads: int
    head_size: int
    kept_heads: list[int]

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_bias: torch.Tensor | None = None,
        output_attentions: bool = False,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend.

        Args:
            hidden_states: What attention reads, (batch, tokens, hidden).
            attention_mask: Boolean or additive, (batch, 1, 1 or tokens, tokens).
            position_bias: Added to the scores, (batch, dense heads, tokens, tokens).
            output_attentions: Of no effect: the weights are returned where the attention in use has them.
            position_embeddings: Cosines and sines of (1 or batch, tokens, head_size).
            **kwargs: What families pass besides; handed on to the attention in use.

        Returns:
            The heads' context, (batch, tokens, heads * value_size), or after the output linear where the family
            keeps it inside its attention, (batch, tokens, hidden); and the attention weights or None.
        """
        module: Any = self
        query, key, value = self.projected(hidden_states)
        if position_embeddings is not None:
            query, key = self.turned(query, key, *position_embeddings)
        if position_bias is not None:
            bias = self._own_heads(position_bias)
            attention_mask = bias if attention_mask is None else bias + attention_mask
        context, weights = self._attended(query, key, value, attention_mask, **kwargs)
        if self.family.attention_out.startswith(self.family.attention + "."):
            context = self.part(self.family.attention_out)(context)
            context = module.out_drop(context) if hasattr(self, "out_drop") else context
        return context, weights

    def _attended(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the context, (batch, queries, heads * value_size), and the weights, by the attention in use."""
        module: Any = self
        # A family without a choice of attention, mpnet, multiplies and normalises by separate operators.
        chosen = getattr(getattr(self, "config", None), "_attn_implementation", "eager")
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(chosen, eager_attention)
        rate = module.attention_dropout if hasattr(self, "attention_dropout") else module.dropout.p
        kwargs |= {"dropout": rate if module.training else 0.0, "scaling": self.head_size**-0.5}
        kwargs["sliding_window"] = getattr(self, "sliding_window", None)
        value_size = value.shape[-1]
        if chosen == "sdpa" and not torch.compiler.is_exporting():  # other runtimes have no use for it
            query, key, value = _of_one_size(query, key, value)
        context, weights = attend(self, query, key, value, attention_mask, **kwargs)
        if context.shape[-1] != value_size:
            context = context[..., :value_size]
        return context.flatten(2), weights

    def part(self, path: str) -> Any:
        """Return a part of the attention by its path in the layer."""
        module: Any = self
        return module.get_submodule(path.removeprefix(self.family.attention + "."))

    def projected(self, states: torch.Tensor) -> list[torch.Tensor]:
        """Return queries, keys and values, (batch, heads, tokens, size of theirs), of (batch, tokens, hidden)."""
        if self.family.fused:  # queries and keys have their dense size, whatever is left of values
            context, every = self.heads * self.head_size, self.part(self.family.query)(states)
            parts = every.split([context, context, every.shape[-1] - 2 * context], dim=-1)
        else:
            paths = (self.family.query, self.family.key, self.family.value)
            parts = [self.part(path)(states) for path in paths]
        return [self.by_head(part) for part in parts]

    def by_head(self, states: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, heads * size) to (batch, heads, tokens, size)."""
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def turned(
        self, query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn queries and keys, (batch, heads, tokens, head_size), by their positions."""
        return rotated(query, cos, sin), rotated(key, cos, sin)

    def _own_heads(self, bias: torch.Tensor) -> torch.Tensor:
        kept = getattr(self, "kept_heads", None)
        return bias if kept is None else torch.stack([bias[:, head] for head in kept], dim=1)


def mix_in(module: nn.Module, mixin: type, family: Any) -> None:
    """Give one module, not its class, another forward; it stays an instance of its class.

    Args:
        module: The module.
        mixin: The class whose forward goes before that of the module's own.
        family: The module's family.
    """
    if not isinstance(module, mixin):
        name = mixin.__name__ + type(module).__name__
        module.__class__ = type(name, (mixin, type(module)), {"family": family})
