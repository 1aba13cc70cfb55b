"""Encoders whose layers differ in heads and FFN neurons, loadable by plain transformers.

This one file needs torch and transformers only. Leanformer copies it into a compressed checkpoint, so that
`AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)` works where leanformer is
not installed. The per-layer sizes are in `config.json` under transformers' own key, `per_layer_config`, with
its own names (`num_attention_heads`, `intermediate_size`); state-dict keys and task heads are those of the
stock classes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

MODEL_TYPE_PREFIX = "leanformer-"
HARD_ATTENTION = "leanformer-hard-attention"
SIZES = ("num_attention_heads", "intermediate_size")
TASKS = {
    "AutoModel": "Model",
    "AutoModelForSequenceClassification": "ForSequenceClassification",
    "AutoModelForMaskedLM": "ForMaskedLM",
    "AutoModelForTokenClassification": "ForTokenClassification",
    "AutoModelForQuestionAnswering": "ForQuestionAnswering",
}


class LeanMPNetSelfAttention(MPNetSelfAttention):
    """MPNet's attention without some heads: takes its own columns of the bias table that all layers share."""

    def __init__(self, config: Any, kept_heads: list[int]) -> None:
        super().__init__(config)
        self.kept_heads = kept_heads

    def forward(
        self,
        hidden_states: Any,
        attention_mask: Any = None,
        position_bias: Any = None,
        output_attentions: Any = False,
        **kwargs: Any,
    ) -> Any:
        """Attend with the kept heads' share of position_bias (batch, dense heads, tokens, tokens)."""
        if position_bias is not None:
            position_bias = torch.stack([position_bias[:, head] for head in self.kept_heads], dim=1)
        return super().forward(hidden_states, attention_mask, position_bias, output_attentions, **kwargs)


@dataclass(frozen=True)
class Family:
    """Where one model family keeps its encoder layers and their linears; paths are relative to a layer.

    Attributes:
        name: The `model_type` of the stock configuration.
        prefix: What the names of the stock classes begin with.
        layers: Path from the base model to the list of layers.
        attention: The module that computes the heads.
        query: The projection into queries.
        key: The projection into keys; the same path as `query` where the family fuses the three.
        value: The projection into values.
        attention_out: The linear whose input is the heads' context.
        ffn_in: The linear into the neurons (both halves of them where the FFN is gated).
        ffn_out: The linear whose input is the neurons' activation.
        gated: Whether the FFN multiplies two halves.
        width_name: The configuration's name for the FFN's width.
        attention_norm: The norm of what attention reads, where a sub-layer normalises that and not its sum.
        pooling_name: The configuration's name for how the classifier pools, where that is not always the first token.
        attention_class: A replacement for `attention` that takes (config, kept heads), where needed.
    """

    name: str
    prefix: str
    layers: str = "encoder.layer"
    attention: str = "attention.self"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_out: str = "attention.output.dense"
    ffn_in: str = "intermediate.dense"
    ffn_out: str = "output.dense"
    gated: bool = False
    width_name: str = "intermediate_size"
    attention_norm: str = ""
    pooling_name: str = ""
    attention_class: Any = None

    @property
    def fused(self) -> bool:
        """Whether query, key and value are one linear."""
        return self.query == self.key

    @property
    def pre_norm(self) -> bool:
        """Whether a sub-layer normalises what it reads, not the sum that it leaves."""
        return bool(self.attention_norm)

    def class_name(self, suffix: str) -> str:
        """Name of the lean class for a suffix such as "Config" or "ForSequenceClassification"."""
        return f"Lean{self.prefix}{suffix}"


FAMILIES = {
    family.name: family
    for family in (
        Family("bert", "Bert"),
        Family("roberta", "Roberta"),
        Family("xlm-roberta", "XLMRoberta"),
        Family("camembert", "Camembert"),
        Family("electra", "Electra"),
        Family(
            "distilbert",
            "DistilBert",
            layers="transformer.layer",
            attention="attention",
            query="attention.q_lin",
            key="attention.k_lin",
            value="attention.v_lin",
            attention_out="attention.out_lin",
            ffn_in="ffn.lin1",
            ffn_out="ffn.lin2",
            width_name="hidden_dim",
        ),
        Family(
            "mpnet",
            "MPNet",
            attention="attention.attn",
            query="attention.attn.q",
            key="attention.attn.k",
            value="attention.attn.v",
            attention_out="attention.attn.o",
            attention_class=LeanMPNetSelfAttention,
        ),
        Family(
            "modernbert",
            "ModernBert",
            layers="layers",
            attention="attn",
            query="attn.Wqkv",
            key="attn.Wqkv",
            value="attn.Wqkv",
            attention_out="attn.Wo",
            ffn_in="mlp.Wi",
            ffn_out="mlp.Wo",
            gated=True,
            attention_norm="attn_norm",
            pooling_name="classifier_pooling",
        ),
    )
}


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


def resized(linear: nn.Linear, in_features: int, out_features: int) -> nn.Linear:
    """Return a fresh linear of another size with the old one's bias-or-none, device and dtype."""
    has_bias = linear.bias is not None
    weight = linear.weight
    return nn.Linear(in_features, out_features, bias=has_bias, device=weight.device, dtype=weight.dtype)


def shrink_attention(layer: nn.Module, family: Family, config: Any, kept_heads: list[int]) -> None:
    """Give the layer's attention fresh linears for the kept heads only (weights are loaded afterwards)."""
    out: Any = layer.get_submodule(family.attention_out)
    if not kept_heads:
        empty = NoAttention()
        layer.set_submodule(family.attention, empty)
        if family.attention_out.startswith(family.attention + "."):
            empty.add_module(family.attention_out.removeprefix(family.attention + "."), OnlyBias(out))
        else:
            layer.set_submodule(family.attention_out, OnlyBias(out))
        return
    if family.attention_class is not None:
        layer.set_submodule(family.attention, family.attention_class(config, kept_heads))
        layer.get_submodule(family.attention).to(out.weight.device, out.weight.dtype)
    context = config.hidden_size // config.num_attention_heads * len(kept_heads)
    for path in {family.query, family.key, family.value}:
        linear: Any = layer.get_submodule(path)
        layer.set_submodule(path, resized(linear, linear.in_features, context * (3 if family.fused else 1)))
    layer.set_submodule(family.attention_out, resized(out, context, out.out_features))
    attention = layer.get_submodule(family.attention)
    sizes = {"num_attention_heads": len(kept_heads), "n_heads": len(kept_heads), "all_head_size": context}
    for name, size in sizes.items():
        if hasattr(attention, name):
            setattr(attention, name, size)


def shrink_ffn(layer: nn.Module, family: Family, width: int) -> None:
    """Give the layer's FFN fresh linears of the given width (weights are loaded afterwards)."""
    ffn_in: Any = layer.get_submodule(family.ffn_in)
    ffn_out: Any = layer.get_submodule(family.ffn_out)
    if width == 0:
        layer.set_submodule(family.ffn_in, nn.Identity())
        layer.set_submodule(family.ffn_out, OnlyBias(ffn_out))
        return
    halves = 2 if family.gated else 1
    layer.set_submodule(family.ffn_in, resized(ffn_in, ffn_in.in_features, halves * width))
    layer.set_submodule(family.ffn_out, resized(ffn_out, width, ffn_out.out_features))


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
        value: The same shape.
        attention_mask: Boolean or additive, (batch, 1, 1 or tokens, tokens); or None.
        scaling: Of the scores; by default 1 / sqrt(head_size).
        dropout: Of the probabilities while training.
        **kwargs: What families pass besides, of no effect here.

    Returns:
        The context (batch, tokens, heads, head_size), and the probabilities.
    """
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    probabilities = scores.softmax(dim=-1)  # (batch, heads, tokens, tokens)
    padded = nn.functional.pad(probabilities, (0, module.hard_top))  # so that texts may be shorter than that
    least = padded.topk(module.hard_top, dim=-1).values[..., -1:]
    probabilities = probabilities * (probabilities >= least)
    probabilities = nn.functional.dropout(probabilities, dropout, module.training)
    return (probabilities @ value).transpose(1, 2).contiguous(), probabilities


transformers.AttentionInterface.register(HARD_ATTENTION, hard_attention)


def harden_attention(layer: nn.Module, family: Family, top: int) -> None:
    """Let a layer attend to a few tokens a query, whatever attention the model uses elsewhere.

    Args:
        layer: The layer.
        family: Its family.
        top: How many tokens.

    Raises:
        ValueError: The family's attention can not be exchanged.
    """
    attention: Any = layer.get_submodule(family.attention)
    if family.attention_class is not None:
        raise ValueError(f"The attention of {family.name} can not be made hard.")
    attention.config = copy.copy(attention.config)
    attention.config._attn_implementation = HARD_ATTENTION
    attention.hard_top = top


class LeanConfig:
    """Mixin of lean configs: global sizes are the dense model's, `per_layer_config[i]` has layer i's."""

    def __getattribute__(self, key: str) -> Any:
        # transformers refuses (or warns at) the global value of a size that varies by layer; stock
        # constructors read it, and for a lean model it has one meaning: the dense model's size.
        if key in SIZES:
            fields = object.__getattribute__(self, "__dict__")
            name = type(self).attribute_map.get(key, key)  # type: ignore[attr-defined]
            if name in fields:
                return fields[name]
        return super().__getattribute__(key)


class LeanModel:
    """Mixin of lean models: builds the stock model, then shrinks its layers, before weights are loaded."""

    family: Family

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]
        dense_heads, dense_width = config.num_attention_heads, config.intermediate_size
        base: Any = self.base_model  # type: ignore[attr-defined]
        layers = base.get_submodule(self.family.layers)
        for layer, layer_config in zip(layers, config.per_layer_config, strict=True):
            heads, width = layer_config.num_attention_heads, layer_config.intermediate_size
            if heads != dense_heads:
                kept = getattr(layer_config, "kept_heads", None)
                shrink_attention(layer, self.family, config, list(range(heads)) if kept is None else kept)
            if width != dense_width:
                shrink_ffn(layer, self.family, width)
            if heads and (top := getattr(layer_config, "hard_attention", None)):
                harden_attention(layer, self.family, top)


def lean_classes(family: Family) -> dict[str, Any]:
    """Make a family's lean configuration and model classes, keyed by their auto class ("AutoModel", ...)."""
    stock_config = getattr(transformers, f"{family.prefix}Config")
    attribute_map = dict(stock_config.attribute_map)
    if family.width_name != "intermediate_size":
        attribute_map["intermediate_size"] = family.width_name
    config_members = {
        "model_type": MODEL_TYPE_PREFIX + family.name,
        "attribute_map": attribute_map,
    }
    config_class = type(family.class_name("Config"), (LeanConfig, stock_config), config_members)
    classes: dict[str, Any] = {"AutoConfig": config_class}
    for auto, suffix in TASKS.items():
        stock = getattr(transformers, family.prefix + suffix)
        members = {"family": family, "config_class": config_class}
        classes[auto] = type(family.class_name(suffix), (LeanModel, stock), members)
    return classes


LEAN_CLASSES = {name: lean_classes(family) for name, family in FAMILIES.items()}
for classes in LEAN_CLASSES.values():
    # By name too: a checkpoint's `auto_map` finds them as attributes of this file.
    globals().update({made.__name__: made for made in classes.values()})
