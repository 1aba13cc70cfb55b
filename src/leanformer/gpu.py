"""The GPU, where there is one: a model lives on the CPU and borrows it for what is heavy.

Training, answers and gradients run on it; surgery, selections, repairs and exports are the CPU's, so that none of
them has to ask where a tensor lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def fastest_device() -> torch.device:
    """Return the GPU of this process, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def borrowed(model: PreTrainedModel) -> Iterator[torch.device]:
    """Move a model to the GPU for the length of a block, and back to where it was.

    Args:
        model: The model; where it lies on a GPU already, or there is none, nothing moves.

    Yields:
        The device that the model is on.
    """
    home: torch.device = model.device
    module: torch.nn.Module = model
    fastest = fastest_device()
    if home.type == fastest.type:
        yield home
        return
    module.to(fastest)
    try:
        yield fastest
    finally:
        module.to(home)
