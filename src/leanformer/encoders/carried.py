"""Encoders whose layers differ in heads, their sizes and FFN neurons, loadable by plain transformers.

This file and `carried_attention.py` need torch and transformers only. Leanformer copies them into a compressed
checkpoint, so that `AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)` works where
leanformer is not installed. The per-layer sizes are in `config.json` under transformers' own key,
`per_layer_config`, with its own names (`num_attention_heads`, `intermediate_size`), and ours where heads have other
sizes than the dense model's (`query_key_size`, `value_size`); state-dict keys and task heads are those of the stock
classes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import transformers
from torch import nn

# Relative, for transformers copies what a carried file imports in this way along with it.
from .carried_attention import HARD_ATTENTION, LeanAttention, NoAttention, OnlyBias, mix_in
from .carried_encoder import add_exits, reduce_tokens, take_over
from .carried_factors import FactorisedEmbedding, LowRankLinear

MODEL_TYPE_PREFIX = "leanformer-"
SIZES = ("num_attention_heads", "intermediate_size")
TASKS = {
    "AutoModel": "Model",
    "AutoModelForSequenceClassification": "ForSequenceClassification",
    "AutoModelForMaskedLM": "ForMaskedLM",
    "AutoModelForTokenClassification": "ForTokenClassification",
    "AutoModelForQuestionAnswering": "ForQuestionAnswering",
}


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
        attention_end: The norm of attention's sum, behind which tokens may leave; empty where there is none.
        shared_bias: Whether all layers add one table to their scores, with a column for each dense head.
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
    attention_end: str = "attention.output.LayerNorm"
    shared_bias: bool = False

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
            attention_end="sa_layer_norm",
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
            attention_end="attention.LayerNorm",
            shared_bias=True,
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
            attention_end="",
            pooling_name="classifier_pooling",
        ),
    )
}


def resized(linear: nn.Linear, in_features: int, out_features: int) -> nn.Linear:
    """Return a fresh linear of another size with the old one's bias-or-none, device and dtype."""
    has_bias = linear.bias is not None
    weight = linear.weight
    return nn.Linear(in_features, out_features, bias=has_bias, device=weight.device, dtype=weight.dtype)


@dataclass(frozen=True)
class AttentionSizes:
    """Sizes of one layer's attention.

    Attributes:
        heads: How many heads there are.
        query_key: Size of a head's queries and keys.
        value: Size of a head's values.
        dense: Size of a head in the dense model.
        kept_heads: Which of the dense heads they are, where all layers share a bias by head.
    """

    heads: int
    query_key: int
    value: int
    dense: int
    kept_heads: list[int]

    @classmethod
    def of(cls, layer_config: Any, dense: int) -> AttentionSizes:
        """Read them from a layer's entry in the configuration."""
        heads = layer_config.num_attention_heads
        query_key = getattr(layer_config, "query_key_size", dense)
        value = getattr(layer_config, "value_size", dense)
        return cls(heads, query_key, value, dense, getattr(layer_config, "kept_heads", list(range(heads))))

    @property
    def even(self) -> bool:
        """Whether all parts of a head have their dense size."""
        return self.query_key == self.value == self.dense


def shrink_attention(layer: nn.Module, family: Family, sizes: AttentionSizes) -> None:
    """Give the layer's attention fresh linears of the given sizes (weights are loaded afterwards)."""
    out: Any = layer.get_submodule(family.attention_out)
    if not sizes.heads:
        empty = NoAttention()
        layer.set_submodule(family.attention, empty)
        if family.attention_out.startswith(family.attention + "."):
            empty.add_module(family.attention_out.removeprefix(family.attention + "."), OnlyBias(out))
        else:
            layer.set_submodule(family.attention_out, OnlyBias(out))
        return
    query_key, context = sizes.heads * sizes.query_key, sizes.heads * sizes.value
    widths = {family.query: query_key, family.key: query_key, family.value: context}
    if family.fused:
        widths = {family.query: 2 * query_key + context}
    for path, width in widths.items():
        linear: Any = layer.get_submodule(path)
        layer.set_submodule(path, resized(linear, linear.in_features, width))
    layer.set_submodule(family.attention_out, resized(out, context, out.out_features))
    attention: Any = layer.get_submodule(family.attention)
    known = {"num_attention_heads": sizes.heads, "n_heads": sizes.heads, "all_head_size": context}
    for name, size in known.items():
        if hasattr(attention, name):
            setattr(attention, name, size)
    # The stock forward knows one size of all parts of a head, and the whole table of a shared bias.
    if family.shared_bias or not sizes.even:
        mix_in(attention, LeanAttention, family)
        attention.heads, attention.head_size = sizes.heads, sizes.dense
        if family.shared_bias:
            attention.kept_heads = sizes.kept_heads


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
    if family.shared_bias:
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
        dense_size = config.hidden_size // dense_heads
        base: Any = self.base_model  # type: ignore[attr-defined]
        if rank := getattr(config, "embedding_rank", None):
            base.set_input_embeddings(FactorisedEmbedding(base.get_input_embeddings(), rank))
        layers = base.get_submodule(self.family.layers)
        for layer, layer_config in zip(layers, config.per_layer_config, strict=True):
            sizes, width = AttentionSizes.of(layer_config, dense_size), layer_config.intermediate_size
            if sizes.heads != dense_heads or not sizes.even:
                shrink_attention(layer, self.family, sizes)
            if width != dense_width:
                shrink_ffn(layer, self.family, width)
            if sizes.heads and (top := getattr(layer_config, "hard_attention", None)):
                harden_attention(layer, self.family, top)
            for name, rank in (getattr(layer_config, "ranks", None) or {}).items():
                path = getattr(self.family, name)
                layer.set_submodule(path, LowRankLinear(layer.get_submodule(path), rank))
        shares = [getattr(layer_config, "kept_tokens", 1.0) for layer_config in config.per_layer_config]
        classifies = type(self).__name__.endswith(TASKS["AutoModelForSequenceClassification"])
        exits = getattr(config, "exits", None) if classifies else None
        if min(shares) < 1 or exits:
            encoder = base.get_submodule(self.family.layers.rpartition(".")[0])
            take_over(encoder, self.family, restores=not classifies)
            scored = [getattr(one, "token_scorer", False) for one in config.per_layer_config]
            reduce_tokens(
                encoder, layers, self.family, shares, scored, getattr(config, "token_merging", False)
            )
        if exits:
            add_exits(self, encoder, exits, getattr(config, "exit_policy", None))


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
