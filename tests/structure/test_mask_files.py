"""Masks come back from their file as they were."""

from __future__ import annotations

import torch

from leanformer.structure.mask_files import load_masks, save_masks


def test_masks_come_back(tmp_path):
    masks = {
        (0, "head"): torch.tensor([1.0, 0.0]),
        (11, "query_key"): torch.ones(4),
        (2, "ffn_in"): torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).T,  # not contiguous
    }
    save_masks(masks, tmp_path / "masks.safetensors")
    found = load_masks(tmp_path / "masks.safetensors")
    assert found.keys() == masks.keys()
    assert all(torch.equal(found[key], mask) for key, mask in masks.items())
