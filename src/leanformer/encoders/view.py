"""The uniform access to an encoder's layers; nothing outside `encoders/` names a module of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from leanformer.encoders.carried_attention import LeanAttention
from leanformer.encoders.carried_factors import LowRankLinear
from leanformer.encoders.carried_tokens import TokenScorer
from leanformer.encoders.families import Family, family_of, linear_paths

MATRICES = ("query", "key", "value", "attention_out", "ffn_in", "ffn_out")


class EncoderView:
    """A view of a transformers encoder model, with any task head or none; it copies nothing.

    Attributes:
        model: The model.
        family: The family's table of paths.
        layers: The layer modules, in order.
        hidden_size: Size of a token's state.
        head_size: Size of one head before any of its dimensions was removed.
        dense_heads: Heads of each layer before any was removed.
        dense_width: FFN neurons of each layer before any was removed.

    Args:
        model: A transformers `PreTrainedModel` of a supported family; else a ModelError is raised.
    """

    model: Any
    family: Family
    layers: list[nn.Module]
    hidden_size: int
    head_size: int
    dense_heads: int
    dense_width: int

    def __init__(self, model: Any) -> None:
        config = model.config
        self.model = model
        self.family = family_of(config)
        self.layers = list(model.base_model.get_submodule(self.family.layers))
        self.hidden_size = config.hidden_size
        self.dense_heads = config.num_attention_heads
        self.dense_width = getattr(config, self.family.width_name)
        self.head_size = self.hidden_size // self.dense_heads

    @property
    def n_layers(self) -> int:
        """How many layers the encoder has."""
        return len(self.layers)

    def encoder(self) -> nn.Module:
        """Return the module that holds the list of layers."""
        path = self.family.layers.rpartition(".")[0]
        return self.model.base_model.get_submodule(path)

    def _linear(self, layer: int, kind: str) -> nn.Linear | None:
        module = self.output(layer, kind)
        return module if isinstance(module, nn.Linear) else None

    def attention_out(self, layer: int) -> nn.Linear | None:
        """Return the linear on the heads' context.

        Args:
            layer: Index of the layer.

        Returns:
            The linear whose input is (batch, tokens, heads * value_size); None where the layer has no head.
        """
        return self._linear(layer, "head")

    def query(self, layer: int) -> nn.Linear | None:
        """Return the projection into queries (and keys and values, where the family fuses them).

        Args:
            layer: Index of the layer.

        Returns:
            The linear whose output is (batch, tokens, heads * query_key_size); None where the layer has no head.
        """
        if self.attention_out(layer) is None:
            return None
        linear: Any = self.layers[layer].get_submodule(self.family.query)
        return linear

    def ffn_out(self, layer: int) -> nn.Linear | None:
        """Return the linear on the neurons' activation.

        Args:
            layer: Index of the layer.

        Returns:
            The linear whose input is (batch, tokens, width); None where the layer has no neuron.
        """
        return self._linear(layer, "neuron")

    def output(self, layer: int, kind: str) -> nn.Module:
        """Return the module at the end of a sub-layer, whose output is added to the residual stream.

        Args:
            layer: Index of the layer.
            kind: "head" for attention, "neuron" for the FFN.

        Returns:
            A linear, or what holds its bias where the sub-layer has no unit left.
        """
        path = self.family.attention_out if kind == "head" else self.family.ffn_out
        return self.layers[layer].get_submodule(path)

    def linears(self, layer: int, kind: str) -> list[nn.Linear]:
        """Return the linears of a sub-layer, in the order of execution.

        Args:
            layer: Index of the layer.
            kind: "head" for attention, "neuron" for the FFN.

        Returns:
            Query, key, value (one where the family fuses them) and output, or FFN in and out; none where the
            sub-layer has no unit left.
        """
        if self._linear(layer, kind) is None:
            return []
        layer_module: Any = self.layers[layer]
        return [layer_module.get_submodule(path) for path in linear_paths(self.family, kind)]

    def ffn_input(self, layer: int) -> nn.Module:
        """Return the module that is called with what the layer's FFN reads, (batch, tokens, hidden)."""
        return self.layers[layer].get_submodule(self.family.ffn_in)

    def ranks(self, layer: int) -> dict[str, int]:
        """Return the ranks of the layer's linears that are products, by the first matrix in each."""
        names = {getattr(self.family, name): name for name in reversed(MATRICES)}
        return {
            names[path]: linear.rank
            for kind in ("head", "neuron")
            for path, linear in zip(linear_paths(self.family, kind), self.linears(layer, kind), strict=False)
            if isinstance(linear, LowRankLinear)
        }

    def head_modules(self) -> list[str]:
        """Return the paths from the model of what reads the encoder for one task: pooler, classifier and the like."""
        if self.model.base_model is self.model:  # nothing reads it but a pooling without weights
            return []
        base = self.model.base_model_prefix
        above = [name for name, _ in self.model.named_children() if name != base]
        paths = [f"{base}.pooler", *above] if getattr(self.model.base_model, "pooler", None) else above
        return [path for path in paths if any(True for _ in self.model.get_submodule(path).parameters())]

    def activation(self) -> Callable[[Tensor], Tensor]:
        """Return the function between the FFN's two linears (before the product, where the FFN is gated)."""
        config = self.model.config
        names = ("hidden_act", "activation", "hidden_activation")  # distilbert's, modernbert's
        function: Callable[[Tensor], Tensor] = ACT2FN[
            next(getattr(config, name) for name in names if hasattr(config, name))
        ]
        return function

    def output_bias(self, layer: int, kind: str) -> nn.Parameter | None:
        """Return the bias of a sub-layer's output linear, which stays when the sub-layer has no unit left.

        Args:
            layer: Index of the layer.
            kind: "head" for attention, "neuron" for the FFN.

        Returns:
            The parameter (hidden,), or None where the family has no such bias.
        """
        bias: Any = self.output(layer, kind).bias
        return bias

    def heads(self, layer: int) -> int:
        """Return how many heads the layer has now."""
        if self.attention_out(layer) is None:
            return 0
        attention: Any = self.layers[layer].get_submodule(self.family.attention)
        return (
            attention.heads
            if isinstance(attention, LeanAttention)
            else self._context(layer) // self.head_size
        )

    def query_key_size(self, layer: int) -> int:
        """Return the size of a head's queries and keys, the head size where the layer has no head."""
        heads = self.heads(layer)
        if not heads or self.family.fused:  # fused ones turn in pairs, and are never made smaller
            return self.head_size
        query: Any = self.query(layer)
        return query.out_features // heads

    def value_size(self, layer: int) -> int:
        """Return the size of a head's values, the head size where the layer has no head."""
        heads = self.heads(layer)
        return self._context(layer) // heads if heads else self.head_size

    def _context(self, layer: int) -> int:
        linear = self.attention_out(layer)
        return 0 if linear is None else linear.in_features

    def width(self, layer: int) -> int:
        """Return how many FFN neurons the layer has now."""
        linear = self.ffn_out(layer)
        return 0 if linear is None else linear.in_features

    def kept_heads(self, layer: int) -> list[int]:
        """Return which columns of the family's shared head table the layer's heads use; else 0..heads-1."""
        attention = self.layers[layer].get_submodule(self.family.attention)
        return list(getattr(attention, "kept_heads", range(self.heads(layer))))

    def hard_attention(self, layer: int) -> int | None:
        """Return to how many tokens a query of the layer attends; None for all."""
        top: int | None = getattr(self.layers[layer].get_submodule(self.family.attention), "hard_top", None)
        return top

    def kept_tokens(self, layer: int) -> float:
        """Return what share of a text's tokens is left after the layer's attention."""
        norms = [self.layers[before].get_submodule(self.family.attention_end) for before in range(layer + 1)]
        return min((getattr(norm, "kept_share", 1.0) for norm in norms), default=1.0)

    def token_scorer(self, layer: int) -> TokenScorer | None:
        """Return what ranks the tokens that leave behind the layer's attention; None where that attention does."""
        norm = self.layers[layer].get_submodule(self.family.attention_end)
        scorer: TokenScorer | None = getattr(norm, "scorer", None)
        return scorer

    def matrices(self, layer: int) -> dict[str, Tensor]:
        """Return the layer's weight matrices by name, as views that share storage with the parameters.

        Args:
            layer: Index of the layer.

        Returns:
            query, key: (heads * query_key_size, hidden); value: (heads * value_size, hidden);
            attention_out: (hidden, heads * value_size);
            ffn_in: (width, hidden), or (2 * width, hidden) in a gated FFN; ffn_out: (hidden, width).
            Matrices of an empty sub-layer are absent.
        """
        found: dict[str, Tensor] = {}
        if (attention_out := self.attention_out(layer)) is not None:
            query_key, start = self.heads(layer) * self.query_key_size(layer), 0
            for name, rows in zip(MATRICES[:3], (query_key, query_key, self._context(layer)), strict=True):
                weight: Any = self.layers[layer].get_submodule(getattr(self.family, name)).weight
                found[name] = weight.detach().narrow(0, start if self.family.fused else 0, rows)
                start += rows
            found["attention_out"] = attention_out.weight.detach()
        if (ffn_out := self.ffn_out(layer)) is not None:
            ffn_in: Any = self.layers[layer].get_submodule(self.family.ffn_in)
            found["ffn_in"] = ffn_in.weight.detach()
            found["ffn_out"] = ffn_out.weight.detach()
        return found

    def head_weights(self, layer: int) -> Tensor:
        """Return all weights of each head, (heads, 2 * (query_key_size + value_size) * hidden): a copy."""
        heads = self.heads(layer)
        if heads == 0:
            return torch.empty(0, 4 * self.head_size * self.hidden_size)
        matrices = self.matrices(layer)
        rows = [matrices[name].reshape(heads, -1) for name in ("query", "key", "value")]
        columns = matrices["attention_out"].t().reshape(heads, -1)  # (heads, value_size * hidden)
        return torch.cat([*rows, columns], dim=1)

    def neuron_weights(self, layer: int) -> Tensor:
        """Return all weights of each FFN neuron, (width, 2 * hidden), or 3 * hidden if gated: a copy."""
        halves = 2 if self.family.gated else 1
        width = self.width(layer)
        if width == 0:
            return torch.empty(0, (halves + 1) * self.hidden_size)
        matrices = self.matrices(layer)
        return torch.cat([*matrices["ffn_in"].view(halves, width, -1), matrices["ffn_out"].t()], dim=1)

    def encoder_parameters(self) -> int:
        """Return the number of parameters inside the layers (embeddings and task head are outside)."""
        return sum(parameter.numel() for layer in self.layers for parameter in layer.parameters())

    def prunable_weights(self) -> int:
        """Return the number of weights in the six matrices of all layers."""
        layers = range(self.n_layers)
        return sum(matrix.numel() for layer in layers for matrix in self.matrices(layer).values())
