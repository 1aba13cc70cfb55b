"""One tiny compressed model, exported once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import torch
from datasets import Dataset

from leanformer.encoders.saving import save_model
from leanformer.export import exporters
from leanformer.export.exporters import Exported, export_onnx, export_openvino
from leanformer.structure.surgery import slice_units
from leanformer.tasks.encode import encode

WORDS = [
    "the",
    "good",
    "bad",
    "film",
    "was",
    "lovely",
    "and",
    "dull",
    "with",
    "very",
    "great",
    "music",
    "one",
    "two",
    "three",
]


def texts(rows: int) -> Dataset:
    """Texts of 1 to 40 words, short and long mixed."""
    lengths = [1 + (7 * row) % 40 for row in range(rows)]
    lines = [" ".join(WORDS[(row + word) % len(WORDS)] for word in range(n)) for row, n in enumerate(lengths)]
    return Dataset.from_dict({"text": lines, "label": [row % 2 for row in range(rows)], "row": range(rows)})


@pytest.fixture(scope="session")
def encoded_texts(tiny_tokenizer) -> Dataset:
    """Twelve encoded texts of different lengths."""
    return encode(texts(12), tiny_tokenizer, 64, truncate=True)


@dataclass(frozen=True)
class Small:
    """A compressed model in memory and on disk, with what was exported of it."""

    model: Any
    tokenizer: Any
    folder: Path
    out: Path
    encoded: Dataset
    onnx: Exported
    openvino: Exported


@pytest.fixture(scope="session")
def small(tiny_model, tiny_tokenizer, tmp_path_factory) -> Small:
    """A bert of width 256 without some heads and neurons, so large that int8 weights show in the file's size."""
    root = tmp_path_factory.mktemp("small")
    dense = tiny_model("bert", num_labels=3, hidden=64, width=512)
    masks = {(0, "head"): torch.tensor([1.0, 0, 1, 1]), (1, "neuron"): (torch.arange(512) % 3 > 0).float()}
    model = slice_units(dense, masks)
    save_model(model, tiny_tokenizer, root / "model")
    encoded = encode(texts(30), tiny_tokenizer, 64, truncate=True)
    exported = [export(root / "model", root, encoded) for export in (export_onnx, export_openvino)]
    return Small(model, tiny_tokenizer, root / "model", root, encoded, *exported)


@pytest.fixture
def untraced(small, monkeypatch) -> None:
    """Write what was traced before, for tests of what happens around the tracing; it takes seconds each time."""
    monkeypatch.setattr(exporters, "_write_onnx", lambda model, inputs, path: copyfile(small.onnx.path, path))
