"""The last part of the first law: exported == sliced, for every family, with empty sub-layers too."""

from itertools import product

import numpy as np
import pytest
import torch

from leanformer.encoders.saving import save_model
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sublayers import sublayers
from leanformer.structure.surgery import slice_units
from leanformer.tasks.predict import predict
from tiny import TINY_FAMILIES

HEADS, WIDTH = 4, 64
EXPORTERS = {"onnx": export_onnx, "openvino": export_openvino}
# by name, fused and rotary, and the other runtime once; .ci/run has all families once
FAST = {("bert", "onnx"), ("modernbert", "onnx"), ("bert", "openvino")}
SLOW = {"roberta", "xlm-roberta", "electra"}  # built as bert, and transformers generates code for two of them


def cost(case):
    """Marks: an export takes seconds."""
    if case in FAST:
        return ()
    return pytest.mark.slow if case[0] in SLOW and case[1] == "openvino" else pytest.mark.thorough


def random_masks(seed):
    """Two heads and no neuron in the first layer; no head and half of the neurons in the second."""
    generator = torch.Generator().manual_seed(seed)
    heads, neurons = torch.zeros(HEADS), torch.zeros(WIDTH)
    heads[torch.randperm(HEADS, generator=generator)[: HEADS // 2]] = 1.0
    neurons[torch.randperm(WIDTH, generator=generator)[: WIDTH // 2]] = 1.0
    return {
        (0, "head"): heads,
        (0, "neuron"): torch.zeros(WIDTH),
        (1, "head"): torch.zeros(HEADS),
        (1, "neuron"): neurons,
    }


@pytest.mark.parametrize(
    ("family", "name"),
    [pytest.param(*case, marks=cost(case)) for case in product(TINY_FAMILIES, EXPORTERS)],
)
def test_exported_is_sliced_and_every_linear_is_found_once(
    family, name, tiny_model, tiny_tokenizer, encoded_texts, linears_of, tmp_path
):
    dense = tiny_model(family, heads=HEADS, width=WIDTH)
    lean = slice_units(dense, random_masks(seed=len(family)))
    save_model(lean, tiny_tokenizer, tmp_path / "model")
    exported = EXPORTERS[name](tmp_path / "model", tmp_path, encoded_texts)
    assert exported.max_difference <= 1e-5
    answer = predict_with(
        load_runner(tmp_path, exported.runtime, threads=1), encoded_texts, tiny_tokenizer, batch_size=5
    )
    expected = predict(lean, encoded_texts, tiny_tokenizer)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert np.abs(predict(dense, encoded_texts, tiny_tokenizer) - expected).max() > 1e-3
    wanted, found = linears_of(lean), sublayers(exported.path)
    assert set(wanted) == {(0, "head"), (1, "neuron")}
    assert {key: set(nodes) for key, nodes in found.items()} == wanted
    assert len({node for nodes in found.values() for node in nodes}) == sum(map(len, found.values()))
