"""Token reduction: a model whose layers keep a falling share of each text's tokens, or merge the others into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from leanformer.encoders.carried_tokens import PARTS, Tokens, TokenScorer
from leanformer.encoders.lean import config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import layer_shapes


def with_kept_tokens(
    model: Any, shares: Sequence[float], scored: Sequence[int] = (), seed: int = 0, merges: bool = False
) -> Any:
    """Return a copy of a model whose layers drop tokens, for good: it is saved and exported so.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        shares: What is left after each layer's attention, of each text's own length: 1 is all of them. They are
            rounded up to multiples of 1/64 and never rise; a layer without heads drops nothing.
        scored: Layers that get a new scorer to rank the tokens by, beside those that have one.
        seed: Of the new scorers' weights.
        merges: Whether tokens are merged into those that are most like them, and do not leave. A layer can merge a
            little less than half of its tokens, so a text keeps somewhat more than its share.

    Returns:
        A lean model, in the mode and on the device of the given one; it shares no weights with it.

    Raises:
        ModelError: The family's layers can not drop tokens.
        ValueError: There are more or fewer shares than layers, one lies outside 0 to 1, or a layer is to merge more
            than half of its tokens.
    """
    view = EncoderView(model)
    check_tokens(view)
    if len(shares) != view.n_layers or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"{list(shares)} are no {view.n_layers} shares above 0 and up to 1, one a layer.")
    shapes, scorers = layer_shapes(view), _scorers(view, scored, seed)
    left, state = 1.0, {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for layer, shape in enumerate(shapes):
        before = left
        if view.heads(layer):
            left = min(left, -(-shares[layer] * PARTS // 1) / PARTS)
            if merges and 2 * left < before:
                raise ValueError(f"Layer {layer} can not merge {before:.2f} of the tokens into {left:.2f}.")
        path, ranked = _scorer_path(view, layer), layer in scorers and left < before and not merges
        shape |= {"kept_tokens": left, "token_scorer": ranked}
        state = {name: tensor for name, tensor in state.items() if not name.startswith(f"{path}.")}
        if ranked:  # where nothing leaves, there is nothing to rank
            weights = scorers[layer].state_dict().items()
            state |= {f"{path}.{name}": tensor.detach().clone() for name, tensor in weights}
    lean_class = lean_class_for(model)
    merging = {"token_merging": True} if merges else {}
    config = config_for(lean_class, model.config, per_layer_config=dict(enumerate(shapes)), **merging)
    return rebuild(model, lean_class, config, state)


def _scorers(view: EncoderView, scored: Sequence[int], seed: int) -> dict[int, TokenScorer]:
    """Return the scorers that a model has, by layer, and new ones for further layers."""
    found = {layer: view.token_scorer(layer) for layer in range(view.n_layers)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = {layer: TokenScorer(view.hidden_size) for layer in scored if found[layer] is None}
    return {layer: scorer for layer, scorer in found.items() if scorer is not None} | made


def _scorer_path(view: EncoderView, layer: int) -> str:
    base = "" if view.model.base_model is view.model else f"{view.model.base_model_prefix}."
    return f"{base}{view.family.layers}.{layer}.{view.family.attention_end}.scorer"


@contextmanager
def tokens_drawn(view: EncoderView, draw: Callable[[int, Tensor, Tokens], Tensor]) -> Iterator[None]:
    """Let something else than a share say which tokens go on behind the scored layers, in a `with` block.

    Args:
        view: A model with scorers, set to keep all tokens.
        draw: From the layer, the scorer's logits (batch, tokens) and the tokens that are still there to which of them
            go on, (batch, tokens); the first token always does. Logits have a gradient to the scorer alone, whatever
            else has one.

    Yields:
        Nothing.
    """

    def hook_of(layer: int, scorer: TokenScorer) -> Callable[..., Tensor]:
        def hook(norm: Any, given: Any, normed: Tensor) -> Tensor:
            tokens: Tokens = norm.tokens
            with torch.enable_grad():
                kept = draw(layer, scorer(normed.detach()).float(), tokens)
            return tokens.only(normed, kept)

        return hook

    with ExitStack() as stack:
        for layer in range(view.n_layers):
            if (scorer := view.token_scorer(layer)) is not None:
                norm = view.layers[layer].get_submodule(view.family.attention_end)
                stack.callback(norm.register_forward_hook(hook_of(layer, scorer)).remove)
        yield


def set_kept_tokens(model: Any, shares: Sequence[float]) -> None:
    """Let a model whose layers drop tokens keep other shares of them, in place: its weights are for all.

    Args:
        model: A model made by `with_kept_tokens`, whose shares fall in each layer that has heads.
        shares: What is left after each layer's attention; not rounded, so that a training may draw any.
    """
    view = EncoderView(model)
    left = 1.0
    for layer, share in enumerate(shares):
        norm: Any = view.layers[layer].get_submodule(view.family.attention_end)
        if hasattr(norm, "kept_share"):
            norm.kept_share = left = min(left, share)


def check_tokens(view: EncoderView) -> None:
    """Refuse families whose layers can not drop tokens.

    Args:
        view: The model.

    Raises:
        ModelError: If they can not.
    """
    if view.family.pre_norm:
        raise ModelError(
            f"Tokens can not leave inside the layers of {view.family.name}, which normalises before it attends. Use "
            "a method without token reduction, or another model."
        )
