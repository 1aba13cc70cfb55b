"""Early exits: heads between the layers of a classifier, and the rule by which texts leave with their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from leanformer.encoders.carried_encoder import LeanEncoder
from leanformer.encoders.carried_exits import POLICIES, ExitHead
from leanformer.encoders.lean import auto_class_of, config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.kept import layer_shapes

SIZE = 128
"""Width of an exit's head, as in FastBERT's code."""


def with_exits(
    model: Any, layers: Sequence[int], size: int = SIZE, judges: bool = False, seed: int = 0
) -> Any:
    """Return a copy of a classifier with new heads behind some of its layers; no text leaves by them yet.

    Args:
        model: A transformers sequence classifier of a supported family; it is left as it is.
        layers: The layers that a head follows, by their numbers from 0, rising; the last has its own.
        size: Width of a head, an even number.
        judges: Whether each also says how likely it is wrong.
        seed: Of the heads' weights.

    Returns:
        A lean model, in the mode and on the device of the given one; it shares no weights with it.

    Raises:
        ModelError: The model is no sequence classifier, or its family has a loop of its own.
        ValueError: A layer has no head to follow it, or the size is odd.
    """
    view = EncoderView(model)
    if view.family.pre_norm:
        raise ModelError(
            f"Texts can not leave between the layers of {view.family.name}, whose loop is its own. Use a method "
            "without early exits, or another model."
        )
    if auto_class_of(model, view.family) != "AutoModelForSequenceClassification":
        raise ModelError(
            f"A {type(model).__name__} answers for every token, so that no text can leave early."
        )
    if list(layers) != sorted(set(layers)) or not all(0 <= layer < view.n_layers - 1 for layer in layers):
        raise ValueError(f"{list(layers)} are no rising layers from 0 to {view.n_layers - 2}.")
    exits = {"layers": list(layers), "size": size, "judges": judges}
    lean_class = lean_class_for(model)
    shapes = dict(enumerate(layer_shapes(view)))
    config = config_for(lean_class, model.config, per_layer_config=shapes, exits=exits, exit_policy=None)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    base = "" if model.base_model is model else f"{model.base_model_prefix}."
    path = f"{base}{view.family.layers.rpartition('.')[0]}.exits"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in layers:
            head = ExitHead(view.hidden_size, size, model.config.num_labels, judges)
            state |= {f"{path}.{layer}.{name}": tensor for name, tensor in head.state_dict().items()}
    return rebuild(model, lean_class, config, state)


def exits_of(model: Any) -> dict[int, ExitHead]:
    """Return the heads between a model's layers, by the layer that they follow; none where it has none."""
    encoder = EncoderView(model).encoder()
    if not isinstance(encoder, LeanEncoder):
        return {}
    running: Any = encoder
    return {int(layer): head for layer, head in running.exits.items()}


def set_policy(model: Any, name: str, threshold: float) -> None:
    """Let texts leave by a policy from now on, or none; it is saved with the model.

    Args:
        model: A model with exits, changed in place.
        name: One of `POLICIES`, or empty: every text goes through all layers.
        threshold: See `leanformer.encoders.carried_exits.Leaving`.

    Raises:
        ValueError: The model has no exits, or there is no such policy.
    """
    if not exits_of(model) or name not in ("", *POLICIES):
        raise ValueError(
            f"'{name}' is no policy of this model: give one with exits, and {', '.join(POLICIES)}."
        )
    encoder: Any = EncoderView(model).encoder()
    encoder.leaving.policy, encoder.leaving.threshold = name, threshold
    model.config.exit_policy = {"name": name, "threshold": threshold} if name else None


def answers_between(
    model: Any, hidden_states: Sequence[Tensor], mask: Tensor
) -> list[tuple[Tensor, Tensor | None]]:
    """Return what every exit says, whatever the policy.

    Args:
        model: A model with exits.
        hidden_states: The embeddings' output and that of each layer, (batch, tokens, hidden) each.
        mask: 1 for real tokens, (batch, tokens).

    Returns:
        Logits (batch, labels), and how likely they are wrong or None, of each exit.
    """
    return [head(hidden_states[layer + 1], mask.bool()) for layer, head in exits_of(model).items()]
