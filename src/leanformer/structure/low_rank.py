"""Rank pruning: linears as products of two matrices, of which single ranks are gated and sliced (FLOP)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from leanformer.encoders.lean import config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.structure.kept import layer_shapes
from leanformer.structure.weight_gates import linears_of_matrices

Name = tuple[int, str]
"""(layer, name of a matrix); where a family fuses queries, keys and values, "query" stands for the three."""

RANK = "rank of "
"""What the kind of a gate begins with that is on the ranks of a linear, for example "rank of query"."""

RankGate = Callable[[], Tensor]


def is_rank(kind: str) -> bool:
    """Whether a kind of gate is one of ranks."""
    return kind.startswith(RANK)


def of_matrix(kind: str) -> str:
    """Return the name of the matrix whose ranks a kind of gate is on."""
    return kind.removeprefix(RANK)


def neutral_rank(linear: nn.Linear) -> int:
    """Return the rank at which a product has as many weights as the linear, or just fewer: in * out / (in + out)."""
    return linear.in_features * linear.out_features // (linear.in_features + linear.out_features)


def named_linears(view: EncoderView) -> dict[Name, nn.Linear]:
    """Return all linears of the encoder's layers by the first of the matrices in each."""
    return {
        (layer, names[0]): linear
        for layer in range(view.n_layers)
        for linear, names in linears_of_matrices(view, layer).items()
    }


@torch.no_grad()
def factorised_linears(model: Any, ranks: Mapping[Name, int]) -> Any:
    """Return a model whose linears are the best products of given ranks: up = U sqrt(S), down = sqrt(S) V^T.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        ranks: By (layer, name); a linear that is not named stays whole.

    Returns:
        A lean model.

    Raises:
        ModelError: The architecture or the task head is not supported.
        ValueError: A linear is not there, or its rank is none.
    """
    view, factors = EncoderView(model), {}
    linears = named_linears(view)
    for key, rank in ranks.items():
        if key not in linears or not 1 <= rank <= min(linears[key].weight.shape):
            raise ValueError(f"There is no linear {key}, or it can not have rank {rank}.")
        left, values, right = torch.linalg.svd(linears[key].weight, full_matrices=False)
        root = values[:rank].sqrt()
        factors[key] = left[:, :rank] * root, root[:, None] * right[:rank]
    return _with_factors(model, factors)


def keep_ranks(model: Any, masks: Mapping[Name, Tensor]) -> Any:
    """Return a low-rank model without the ranks that masks remove; one that is left without any keeps one of zeros.

    Args:
        model: From `factorised_linears`; it is left as it is.
        masks: By (layer, name), (rank,): what is not zero stays, and is multiplied into `down`.

    Returns:
        A lean model, with the outputs of the gated one.
    """
    factors, linears = {}, named_linears(EncoderView(model))
    for key, mask in masks.items():
        linear: Any = linears[key]
        kept = (mask != 0).nonzero().squeeze(1)
        kept = kept if len(kept) else torch.zeros(1, dtype=torch.long)
        factors[key] = linear.up.weight[:, kept], mask[kept, None] * linear.down.weight[kept]
    return _with_factors(model, factors)


@contextmanager
def ranks_gated(view: EncoderView, gates: Mapping[Name, RankGate]) -> Iterator[None]:
    """Multiply what passes between the two factors of linears by gates, for the length of a `with` block.

    Args:
        view: A low-rank model's view.
        gates: By (layer, name), what gives the gate that is in force now: (rank,).

    Yields:
        Nothing.
    """
    linears = named_linears(view)
    with ExitStack() as stack:
        for key, gate in gates.items():
            linear: Any = linears[key]
            stack.callback(linear.up.register_forward_pre_hook(_times(gate)).remove)
        yield


def _times(gate: RankGate) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def multiply(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0] * gate().to(inputs[0].dtype), *inputs[1:])

    return multiply


def _with_factors(model: Any, factors: Mapping[Name, tuple[Tensor, Tensor]]) -> Any:
    """Return a lean copy of a model with other factors, by (layer, name): up (out, rank) and down (rank, in)."""
    view = EncoderView(model)
    shapes = layer_shapes(view)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    base = "" if model.base_model is model else f"{model.base_model_prefix}."
    ranks = [view.ranks(layer) for layer in range(view.n_layers)]
    for (layer, name), (up, down) in factors.items():
        path = f"{base}{view.family.layers}.{layer}.{getattr(view.family, name)}"
        if f"{path}.bias" in state:
            state[f"{path}.up.bias"] = state.pop(f"{path}.bias")
        state.pop(f"{path}.weight", None)
        state[f"{path}.up.weight"], state[f"{path}.down.weight"] = up.clone(), down.clone()
        ranks[layer][name] = up.shape[1]
    for shape, own in zip(shapes, ranks, strict=True):
        shape["ranks"] = own
    lean_class = lean_class_for(model)
    config = config_for(lean_class, model.config, per_layer_config=dict(enumerate(shapes)))
    return rebuild(model, lean_class, config, state)
