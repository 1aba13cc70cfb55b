"""Borrowing a GPU: a model comes back to where it was, whatever happens; without one nothing moves."""

import pytest
import torch

from leanformer import gpu


def test_a_model_is_lent_and_comes_back(tiny_model, monkeypatch):
    model, moves = tiny_model("bert"), []
    monkeypatch.setattr(gpu, "fastest_device", lambda: torch.device("meta"))
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: moves.append(device.type) or self)

    def fail_there():
        with gpu.borrowed(model) as device:
            assert device.type == "meta"
            assert moves == ["meta"]
            raise KeyError

    with pytest.raises(KeyError):
        fail_there()
    assert moves == ["meta", "cpu"]


def test_without_a_gpu_nothing_moves(tiny_model, monkeypatch):
    monkeypatch.setattr(gpu, "fastest_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: pytest.fail("it moved"))
    with gpu.borrowed(tiny_model("bert")) as device:
        assert device.type == "cpu"
