"""The last layer for the first token alone: exact where the task head reads no other token.

Keys and values of the last layer are computed for all tokens; queries, attention output, norms and FFN for one.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from leanformer.encoders.carried import TASKS, Family
from leanformer.encoders.carried_attention import LeanAttention, mix_in, rotated
from leanformer.encoders.families import family_of
from leanformer.encoders.lean import auto_class_of
from leanformer.encoders.sentence import pooling_of
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError

READS_FIRST = "AutoModelForSequenceClassification"
READS_EVERY = (TASKS["AutoModelForTokenClassification"], TASKS["AutoModelForQuestionAnswering"])
EXACT_POOLING = "cls"
ATTENTIONS = ("eager", "sdpa")
SPLIT_WEIGHTS = ("query_weight", "key_value_weight")  # buffers that stand for a fused projection


class FirstTokenLayer:
    """Mixin of a family's layer class: it reads all tokens and leaves the state of the first one.

    Attributes:
        family: Where the layer keeps its parts.
    """

    family: Family

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Map (batch, tokens, hidden) to what the family's layer returns, for (batch, 1, hidden)."""
        layer: Any = self
        attention = layer.get_submodule(self.family.attention)
        if isinstance(attention, FirstTokenAttention):  # a layer without heads looks at no other token
            norm = layer.get_submodule(self.family.attention_norm) if self.family.pre_norm else nn.Identity()
            attention.all_states = norm(hidden_states)
            left = super().forward(hidden_states[:, :1], *args, **kwargs)  # type: ignore[misc]
            attention.all_states = None
            return left
        return super().forward(hidden_states[:, :1], *args, **kwargs)  # type: ignore[misc]


class FirstTokenAttention(LeanAttention):
    """Mixin of a family's attention class: the first token attends to all of them.

    Attributes:
        all_states: What attention reads of all tokens, (batch, tokens, hidden); the layer sets it before each call.
    """

    all_states: Tensor | None

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Attend from one token to all.

        Args:
            hidden_states: What attention reads of the first token, (batch, 1, hidden).
            attention_mask: Boolean or additive, (batch, 1, 1 or tokens, tokens); only its first row is used.
            position_bias: Added to the scores, (batch, dense heads, tokens, tokens); only its first row is used.
            *args: What families pass besides, as `LeanAttention` takes it.
            **kwargs: The same.

        Returns:
            What `LeanAttention` does, for one token; and no attention weights.
        """
        mask = None if attention_mask is None else attention_mask[:, :, :1]  # (batch, 1, 1, tokens)
        bias = None if position_bias is None else position_bias[:, :, :1]  # (batch, dense heads, 1, tokens)
        return super().forward(hidden_states, mask, bias, *args, **kwargs)[0], None

    def projected(self, states: Tensor) -> list[Tensor]:
        """Return queries (batch, heads, 1, size) of the first token, and keys and values of all tokens."""
        every: Any = self.all_states
        if self.family.fused:
            module: Any = self
            query = functional.linear(states, module.query_weight, module.query_bias)
            both = functional.linear(every, module.key_value_weight, module.key_value_bias)
            context = self.heads * self.head_size
            key, value = both.split([context, both.shape[-1] - context], dim=-1)
        else:
            query = self.part(self.family.query)(states)
            key, value = self.part(self.family.key)(every), self.part(self.family.value)(every)
        return [self.by_head(part) for part in (query, key, value)]

    def turned(self, query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the first query by the first position, and each key by its own."""
        return rotated(query, cos[:, :1], sin[:, :1]), rotated(key, cos, sin)


def reason_against(config: Any) -> str | None:
    """Say why a model with this configuration needs its last layer for all tokens.

    Args:
        config: A transformers configuration of a supported family.

    Returns:
        A sentence where the head pools over all tokens, or the last layer's attention is hard; None where the head
        reads the first token alone.

    Raises:
        ModelError: The architecture is not supported.
    """
    family = family_of(config)
    if pooling_of(config):
        return "Sentence embeddings are pooled behind the last layer: leave the form first-token out."
    if any(name.endswith(READS_EVERY) for name in config.architectures or ()):
        return (
            "This model answers for every token, so its last layer is needed for all of them: leave the form "
            "first-token out."
        )
    layers = list(getattr(config, "per_layer_config", None) or ())
    if layers and getattr(layers[-1], "hard_attention", None):
        return "The last layer of this model has hard attention of its own: leave the form first-token out."
    if getattr(config, "exit_policy", None):
        return "Texts leave this model between its layers, so the last is not special: leave first-token out."
    pooling = getattr(config, family.pooling_name) if family.pooling_name else EXACT_POOLING
    if pooling == EXACT_POOLING:
        return None
    return (
        f"This {family.name} model pools over all tokens ({family.pooling_name} is '{pooling}'), so its last layer "
        "is needed for all of them: leave the form first-token out."
    )


def first_token_only(model: Any) -> Any:
    """Return a sequence classifier that computes its last layer for the first token only; the logits are the same.

    Args:
        model: A transformers sequence classifier, dense or lean; it stays as it is.

    Returns:
        A copy for inference, in eval mode, with the same state-dict keys, that shares the model's weights.

    Raises:
        ModelError: The architecture is not supported, or the model's head reads more than the first token.
    """
    view = EncoderView(model)
    if auto_class_of(model, view.family) != READS_FIRST:
        raise ModelError(
            f"A {type(model).__name__} reads every token, so its last layer is needed for all of them; only a "
            "sequence classifier can leave them out."
        )
    if reason := reason_against(model.config):
        raise ModelError(reason)
    if model.config._attn_implementation not in ATTENTIONS:
        raise ModelError(
            f"The form first-token knows the attention of {' and '.join(ATTENTIONS)}, not "
            f"'{model.config._attn_implementation}': load the model with attn_implementation='sdpa'."
        )
    made = sharing_copy(model).eval()
    layer = EncoderView(made).layers[-1]
    mix_in(layer, FirstTokenLayer, view.family)
    if view.heads(view.n_layers - 1):
        attention: Any = layer.get_submodule(view.family.attention)
        _keep_all(layer, attention, made.config, view.family)
        attention.all_states = None
        attention.heads, attention.head_size = view.heads(view.n_layers - 1), view.head_size
        mix_in(attention, FirstTokenAttention, view.family)
        if view.family.fused:
            _split_fused(attention, layer.get_submodule(view.family.query), attention.heads * view.head_size)
    return made


def _keep_all(layer: nn.Module, attention: Any, config: Any, family: Family) -> None:
    """Take off what chooses tokens behind the last attention: the only one that goes on is never dropped."""
    norm: Any = layer.get_submodule(family.attention_end) if family.attention_end else None
    if hasattr(norm, "kept_share"):
        norm.kept_share = 1.0
        attention.config = config


def sharing_copy(model: nn.Module) -> Any:
    """Return a copy of a module's structure and configuration that shares its parameters and buffers."""
    memo = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, memo)


def _split_fused(attention: nn.Module, linear: Any, context: int) -> None:
    """Keep the queries' rows, the first ones, of a fused projection apart, beside the state dict.

    Slices taken in forward would be operators in an exported graph, whose quantiser wants constants.
    """
    for kind in ("weight", "bias"):
        rows = getattr(linear, kind)
        query, key_value = (
            (None, None) if rows is None else (rows[:context].detach(), rows[context:].detach())
        )
        attention.register_buffer(f"query_{kind}", query, persistent=False)
        attention.register_buffer(f"key_value_{kind}", key_value, persistent=False)
