"""Adversarial training: the loss on word embeddings that were pushed to where it is larger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Adversary:
    """Noise that climbs the loss, after FreeLB (Zhu et al. 2020, arXiv 1909.11764) as robust tickets use it.

    delta_0 ~ U(-1, 1) start / sqrt(tokens * width) on real tokens; delta += step_size * g / ||g||, each text's own;
    the gradients of all steps are averaged.

    Attributes:
        steps: Forward and backward passes a batch, each with other noise.
        start: Size of the first noise.
        step_size: Length of a step.
    """

    steps: int = 3
    start: float = 0.05
    step_size: float = 0.03


class Noise:
    """The noise of a batch; it is drawn in the first forward pass."""

    def __init__(self, mask: Tensor, adversary: Adversary) -> None:
        self.mask, self.adversary = mask, adversary
        self.delta: Tensor | None = None

    def add(self, module: nn.Module, given: tuple[Any, ...], embedded: Tensor) -> Tensor:
        """Return word embeddings (batch, tokens, width) with the noise: a forward hook."""
        if self.delta is None:
            tokens = self.mask.sum(dim=1).clamp_min(1)[:, None, None]
            size = self.adversary.start / (tokens * embedded.shape[-1]).sqrt()
            drawn = torch.empty_like(embedded).uniform_(-1, 1) * size * self.mask[..., None]
            self.delta = drawn.detach().requires_grad_(True)
        return embedded + self.delta

    def ascend(self) -> None:
        """Take a step towards a larger loss, after a backward pass."""
        if self.delta is None or self.delta.grad is None:
            raise ValueError("The noise has no gradient yet: run a forward and a backward pass first.")
        gradient = self.delta.grad
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
        with torch.no_grad():
            moved = self.delta + self.adversary.step_size * gradient / length
        self.delta = moved.detach().requires_grad_(True)


@contextmanager
def perturbed(model: PreTrainedModel, mask: Tensor, adversary: Adversary) -> Iterator[Noise]:
    """Add noise to what the word embeddings of a batch give, for the length of a `with` block.

    Args:
        model: The model.
        mask: (batch, tokens), 1 for real tokens.
        adversary: How large the noise is.

    Yields:
        The noise.
    """
    noise = Noise(mask, adversary)
    handle = model.get_input_embeddings().register_forward_hook(noise.add)
    try:
        yield noise
    finally:
        handle.remove()
