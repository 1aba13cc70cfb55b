"""Runs side by side share the threads."""

from __future__ import annotations

import pytest
import torch

from leanformer.league import cells
from leanformer.training import threads as module


@pytest.mark.parametrize(("threads", "lanes", "each"), [(2, 2, 1), (16, 4, 4), (2, 8, 1)])
def test_lanes_share_the_threads(threads, lanes, each, monkeypatch):
    used = []
    monkeypatch.setattr(module.os, "environ", {})
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    module.use_threads(threads)
    cells._begin_lane(lanes)
    module.use_threads(threads)
    assert used == [threads, each]
