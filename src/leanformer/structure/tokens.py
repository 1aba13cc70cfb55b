"""Token reduction: a model whose layers keep a falling share of each text's tokens, or merge the others into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leanformer.encoders.carried_tokens import PARTS
from leanformer.encoders.lean import config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import layer_shapes


def with_kept_tokens(model: Any, shares: Sequence[float], merges: bool = False) -> Any:
    """Return a copy of a model whose layers drop tokens, for good: it is saved and exported so.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        shares: What is left after each layer's attention, of each text's own length: 1 is all of them. They are
            rounded up to multiples of 1/64 and never rise; a layer without heads drops nothing.
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
    shapes = layer_shapes(view)
    left = 1.0
    for layer, shape in enumerate(shapes):
        if view.heads(layer):
            before, left = left, min(left, -(-shares[layer] * PARTS // 1) / PARTS)
            if merges and 2 * left < before:
                raise ValueError(f"Layer {layer} can not merge {before:.2f} of the tokens into {left:.2f}.")
        shape["kept_tokens"] = left
    lean_class = lean_class_for(model)
    merging = {"token_merging": True} if merges else {}
    config = config_for(lean_class, model.config, per_layer_config=dict(enumerate(shapes)), **merging)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return rebuild(model, lean_class, config, state)


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
