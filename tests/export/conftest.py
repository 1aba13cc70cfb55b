"""One tiny compressed model, exported once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import torch
from datasets import Dataset

from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
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


@pytest.fixture(scope="session")
def linears_of() -> Callable[[Any], dict[tuple[int, str], set[str]]]:
    """linears_of(model): by sub-layer, the paths of its linears, from the model itself."""

    def linears(model: Any) -> dict[tuple[int, str], set[str]]:
        """What has to be found: by sub-layer, the paths of its linears, from the model itself."""
        view = EncoderView(model)
        family = view.family
        paths = {
            "head": {family.query, family.key, family.value, family.attention_out},
            "neuron": {family.ffn_in, family.ffn_out},
        }
        names = {id(module): name for name, module in model.named_modules()}
        wanted = {}
        for layer in range(view.n_layers):
            for kind, count in (("head", view.heads(layer)), ("neuron", view.width(layer))):
                modules = [view.layers[layer].get_submodule(path) for path in paths[kind]] if count else []
                assert all(isinstance(module, torch.nn.Linear) for module in modules)
                if modules:
                    wanted[layer, kind] = {names[id(module)] for module in modules}
        return wanted

    return linears


@pytest.fixture
def untraced(small, monkeypatch) -> None:
    """Write what was traced before, for tests of what happens around the tracing; it takes seconds each time."""
    monkeypatch.setattr(exporters, "_write_onnx", lambda model, inputs, path: copyfile(small.onnx.path, path))
