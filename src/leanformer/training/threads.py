"""How many processor threads a run computes with."""

from __future__ import annotations

import os

LANES = "LEANFORMER_LANES"
"""Of the environment: how many runs go on side by side."""


def use_threads(threads: int) -> None:
    """Use so many threads, or this process's share of them where other runs go on beside it.

    Args:
        threads: Of all runs together.
    """
    import torch

    torch.set_num_threads(max(1, threads // int(os.environ.get(LANES, "1"))))
