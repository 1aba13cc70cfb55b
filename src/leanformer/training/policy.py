"""A policy over tokens that is learned by trying: the reinforcement of TR-BERT (Ye et al. 2021, arXiv 2105.11618)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leanformer.encoders.outputs import logits_of
from leanformer.encoders.view import EncoderView
from leanformer.structure.tokens import tokens_drawn
from leanformer.training.objective import row_losses, task_loss
from leanformer.training.trials import Drawn, Trials

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOP = 0.75
"""Of the depth: where the guide looks back from, layer 9 of 12 in the public code."""


def policy_loss(
    model: PreTrainedModel, inputs: Mapping[str, Tensor], labels: Tensor, trials: Trials, progress: float
) -> tuple[Tensor, Any]:
    """Return what the policy's scorers descend; nothing else of the model has a gradient of it.

    R_k = -CE - alpha mean_t kept_t, b = mean_k R_k, L = mean_k (R_k - b) sum_t (-1/n sum_i log pi(a_i)).

    Args:
        model: A model with scorers that keeps all tokens.
        inputs: A padded batch, without labels.
        labels: (batch,).
        trials: How often, and at what price.
        progress: Share of the training that is done.

    Returns:
        The loss, and the outputs of the last draw.
    """
    view = EncoderView(model)
    guides = guides_of(model, inputs, labels) if progress < trials.imitated else {}
    rewards, surprises = [], []
    for number in range(trials.samples):
        drawn = Drawn(guides if number == 0 else {})
        with torch.no_grad(), tokens_drawn(view, drawn):
            outputs = model(**inputs)
        price = trials.alpha * torch.stack(drawn.kept).mean(dim=0)
        rewards.append(-row_losses(logits_of(outputs), labels) - price)
        surprises.append(torch.stack(drawn.surprises).sum(dim=0))
    reward = torch.stack(rewards)  # (samples, batch)
    return ((reward - reward.mean(dim=0)) * torch.stack(surprises)).mean(), outputs


def guides_of(model: PreTrainedModel, inputs: Mapping[str, Tensor], labels: Tensor) -> dict[int, Tensor]:
    """Return what a token's later states add to the answer: |dL/dh_top . (h_top - h_l)|.

    Args:
        model: A model with scorers that keeps all tokens.
        inputs: A padded batch, without labels.
        labels: (batch,).

    Returns:
        By the layer of a scorer, (batch, tokens).
    """
    view = EncoderView(model)
    top = max(1, round(TOP * view.n_layers))

    def begin(module: Any, given: Any, embedded: Tensor) -> Tensor:
        return embedded.detach().requires_grad_(True)  # the weights may stand still

    handle = model.get_input_embeddings().register_forward_hook(begin)
    try:
        with torch.enable_grad():
            outputs = model(**inputs, output_hidden_states=True)
            states = outputs.hidden_states
            (gradient,) = torch.autograd.grad(task_loss(logits_of(outputs), labels), [states[top]])
    finally:
        handle.remove()
    return {
        layer: (gradient * (states[top] - states[layer + 1])).detach().float().sum(dim=-1).abs()
        for layer in range(view.n_layers)
        if view.token_scorer(layer) is not None
    }
