"""What stands at every position of an encoder, seen through one attention without parameters.

The detector of Li et al. 2021 (arXiv 2110.15733) is "a modified attention module", inserted at different positions;
its formula was not readable. Ours: a position's states X (tokens, width) attend to themselves,
softmax(X X^T / sqrt(width)), so that embeddings, queries, values and outputs share a unit, the share of a token's
attention. The model's own attention, the mean of its heads, stands beside them as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDING = "embedding"
QUERY, KEY, VALUE, ATTENTION, CONTEXT = "query", "key", "value", "attention", "context"
ATTENTION_OUT, FFN_OUT = "attention output", "FFN output"
IN_LAYER = (QUERY, KEY, VALUE, ATTENTION, CONTEXT, ATTENTION_OUT, FFN_OUT)
"""In the order of the layer; the two outputs are those behind residual and norm."""

Place = tuple[int, str]
"""Layer, and one of `IN_LAYER`; the embeddings' output is that of layer -1."""


@dataclass
class Recorded:
    """What a forward has left.

    Attributes:
        states: By place, (texts, tokens, width); of `ATTENTION` (texts, heads, tokens, tokens).
        calls: By layer, what it was called with.
    """

    states: dict[Place, Any] = field(default_factory=dict)
    calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)

    def call(self, layer: int) -> Callable[..., None]:
        """Return a hook for what a layer is called with; the first one is called with the embeddings."""

        def hook(module: Any, given: Any, named: Any) -> None:
            self.calls[layer] = (given, named)
            if layer == 0:
                self.states[-1, EMBEDDING] = given[0] if given else named["hidden_states"]

        return hook

    def entry(self, place: Place) -> Callable[..., None]:
        """Return a hook for what a module reads."""

        def hook(module: Any, given: Any) -> None:
            self.states[place] = given[0]

        return hook

    def output(self, place: Place) -> Callable[..., None]:
        """Return a hook for what a module returns; of attention its weights, else the first of several."""
        part = 1 if place[1] == ATTENTION else 0

        def hook(module: Any, given: Any, output: Any) -> None:
            self.states[place] = output[part] if isinstance(output, tuple) else output

        return hook


def check_positions(view: EncoderView) -> None:
    """Refuse layers in which the positions are others.

    Args:
        view: The encoder.

    Raises:
        ModelError: If its sub-layers normalise what they read and not what they leave.
    """
    if view.family.pre_norm:
        raise ModelError(
            f"the layers of {view.family.name} normalise what they read and not the sum that they leave, so that "
            "they have other positions than the detector's: choose a model such as BERT, RoBERTa or MPNet"
        )


@contextmanager
def recorded(model: Any, view: EncoderView) -> Iterator[Recorded]:
    """Yield what every forward of a model leaves at every place.

    Args:
        model: The encoder; its attention has to be the eager one, which returns its weights.
        view: Of the same architecture; says where its parts are.

    Yields:
        What each forward fills in, and the next one overwrites; a layer without heads has fewer places.
    """
    found, family, handles = Recorded(), view.family, []
    for number, layer in enumerate(model.get_submodule(family.layers)):
        handles.append(layer.register_forward_pre_hook(found.call(number), with_kwargs=True))
        handles.append(layer.register_forward_hook(found.output((number, FFN_OUT))))
        paths = {ATTENTION_OUT: family.attention_end}
        if view.heads(number):
            paths |= {QUERY: family.query, KEY: family.key, VALUE: family.value, ATTENTION: family.attention}
            out = layer.get_submodule(family.attention_out)
            handles.append(out.register_forward_pre_hook(found.entry((number, CONTEXT))))
        for name, path in paths.items():
            module = layer.get_submodule(path)
            handles.append(module.register_forward_hook(found.output((number, name))))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def relation(place: Place, states: Tensor, weights: Tensor, real: Tensor) -> Tensor:
    """Return the relation degree of an occupation to its gender words at one place.

    Args:
        place: Which.
        states: See `Recorded.states`.
        weights: Shares of each text's tokens in the occupation, its male words and its female ones,
            (texts, tokens, 3); each of the three adds up to 1.
        real: Which tokens are no padding, (texts, tokens).

    Returns:
        The mean attention from the occupation's pieces to the words' pieces, (texts, 2).
    """
    import torch

    if place[1] == ATTENTION:
        attention = states.mean(dim=1)
    else:
        scores = states @ states.transpose(1, 2) / states.shape[-1] ** 0.5  # (texts, tokens, tokens)
        attention = scores.masked_fill(~real[:, None], float("-inf")).softmax(dim=-1)
    return torch.einsum("ti,tij,tjg->tg", weights[..., 0], attention, weights[..., 1:])
