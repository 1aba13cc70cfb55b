"""What units cost in weights, and how large a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import Masks, check_masks

BYTES_PER_MB = 1_000_000
WEIGHT_FILES = {".safetensors", ".onnx", ".data", ".bin"}


def head_cost(view: EncoderView) -> int:
    """Return the weights of one head: 4 * hidden * head_size (query, key, value, output)."""
    return 4 * view.hidden_size * view.head_size


def neuron_cost(view: EncoderView) -> int:
    """Return the weights of one FFN neuron: 2 * hidden, or 3 * hidden where the FFN is gated."""
    return (3 if view.family.gated else 2) * view.hidden_size


def encoder_weights(view: EncoderView) -> int:
    """Return the weights of all heads and neurons that the model has now (biases and norms excluded)."""
    heads = sum(view.heads(layer) for layer in range(view.n_layers))
    neurons = sum(view.width(layer) for layer in range(view.n_layers))
    return heads * head_cost(view) + neurons * neuron_cost(view)


def removed_weights(view: EncoderView, masks: Masks) -> int:
    """Return how many weights of the six matrices the masks remove.

    Args:
        view: The model's view.
        masks: Masks of heads and neurons, or of matrices; not both on one sub-layer.

    Returns:
        The number of weights under a zero.

    Raises:
        ValueError: A mask does not fit the model.
    """
    check_masks(view, masks)
    cost = {"head": head_cost(view), "neuron": neuron_cost(view)}
    return sum(int((mask == 0).sum()) * cost.get(kind, 1) for (_, kind), mask in masks.items())


def pruning_ratio(view: EncoderView, masks: Masks) -> float:
    """Return the share of the model's prunable weights, from 0 to 1, that the masks remove.

    Args:
        view: The model's view.
        masks: The masks; parts without a mask are kept.

    Returns:
        Removed weights / all weights of the six matrices of all layers.

    Raises:
        ValueError: A mask does not fit the model.
    """
    total = view.prunable_weights()
    return removed_weights(view, masks) / total


def size_mb(model_or_folder: Any) -> float:
    """Return the size of a model's weights in megabytes (10^6 bytes).

    Args:
        model_or_folder: A model (its parameters in memory, tied ones once), or a folder of any runtime (its
            weight files).

    Returns:
        Megabytes.

    Raises:
        FileNotFoundError: The folder has no weight file.
    """
    if not isinstance(model_or_folder, str | Path):
        return sum(p.numel() * p.element_size() for p in model_or_folder.parameters()) / BYTES_PER_MB
    files = [path for path in Path(model_or_folder).iterdir() if path.suffix in WEIGHT_FILES]
    if not files:
        raise FileNotFoundError(f"No weight file in {model_or_folder}.")
    return sum(path.stat().st_size for path in files) / BYTES_PER_MB
