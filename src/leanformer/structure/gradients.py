"""What a unit's gate does to the loss: the gradient of each row's loss by a gate that stands at 1."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from leanformer.encoders.outputs import logits_of
from leanformer.encoders.view import EncoderView
from leanformer.gpu import borrowed
from leanformer.progress import track
from leanformer.structure.importance import Scores
from leanformer.structure.masks import UNITS, gated, unit_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

RowLosses = Callable[[Tensor, Tensor], Tensor]
"""From logits (batch, classes) and labels (batch,) to losses (batch,)."""

Gradients = dict[tuple[int, str], Tensor]
"""(layer, kind) -> (rows, units)."""


def gate_gradients(
    model: PreTrainedModel,
    plan: Iterable[Mapping[str, Tensor]],
    losses: RowLosses,
    kinds: Collection[str] = UNITS,
) -> Gradients:
    """Return dL(x)/dxi of every row x and unit gate xi = 1, all of a batch in one backward pass.

    Each row has gates of its own, so that the gradient of the batch's summed loss holds each row's alone.

    Args:
        model: The model, in eval mode.
        plan: Batches of inputs, with `labels` (batch,).
        losses: Each row's loss.
        kinds: Which units have gates, some of `masks.GATED`.

    Returns:
        The gradients; a sub-layer without units has none.
    """
    view = EncoderView(model)
    counts = {
        (layer, kind): count
        for layer in range(view.n_layers)
        for kind, count in unit_counts(view, layer).items()
        if count and kind in kinds
    }
    found: dict[tuple[int, str], list[Tensor]] = {key: [] for key in counts}
    with borrowed(model) as device, _frozen(model), torch.enable_grad():
        for batch in track(list(plan), "Gradients of gates"):
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            labels = inputs.pop("labels")
            gates = {
                key: torch.ones(len(labels), count, device=device, requires_grad=True)
                for key, count in counts.items()
            }
            with gated(view, gates):
                loss = losses(logits_of(model(**inputs)), labels).sum()
            for key, gradient in zip(gates, torch.autograd.grad(loss, list(gates.values())), strict=True):
                found[key].append(gradient.cpu())
    return {key: torch.cat(parts) for key, parts in found.items()}


def taylor_scores(gradients: Gradients) -> Scores:
    """Return I = E_x |dL(x)/dxi| (Michel et al. 2019, arXiv 1905.10650, equation 2), (units,) a group."""
    return {key: rows.abs().mean(dim=0) for key, rows in gradients.items()}


def fisher_scores(gradients: Gradients) -> Scores:
    """Return E_x (dL(x)/dxi)^2, the diagonal of the Fisher information (Kwon et al. 2022, arXiv 2204.09656)."""
    return {key: rows.square().mean(dim=0) for key, rows in gradients.items()}


@contextmanager
def _frozen(model: PreTrainedModel) -> Iterator[None]:
    """Compute no gradient of weights."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
