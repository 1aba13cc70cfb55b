import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoTokenizer

from leanformer.errors import ModelError
from leanformer.export import exporters
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.runtimes import load_runner

RUNTIMES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def large(small, tmp_path_factory):
    """An export whose weights count as too large for one file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporters, "LARGEST_ONNX_MB", 0)
        return export_onnx(small.folder, tmp_path_factory.mktemp("large"))


def random_batch(batch, tokens, padded):
    generator = np.random.default_rng(batch * 100 + tokens)
    ids = generator.integers(5, 100, (batch, tokens))
    mask = np.ones_like(ids)
    if padded:
        mask[0, tokens // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("batch", "tokens", "padded"), [(1, 2, False), (1, 64, False), (3, 7, True), (9, 33, True)]
)
def test_batch_and_length_are_open(small, runtime, batch, tokens, padded):
    inputs = random_batch(batch, tokens, padded)
    with torch.inference_mode():
        expected = small.model(**{name: torch.from_numpy(ids) for name, ids in inputs.items()}).logits.numpy()
    answer = load_runner(small.out, runtime, threads=1)(inputs)
    assert answer.shape == (batch, 3)
    np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_padding_matters(small, runtime):
    """A mask that is ignored would pass the comparison of unpadded texts."""
    inputs = random_batch(2, 20, padded=True)
    runner = load_runner(small.out, runtime, threads=1)
    masked = runner(inputs)
    inputs["attention_mask"] = np.ones_like(inputs["attention_mask"])
    assert np.abs(masked - runner(inputs)).max() > 1e-3


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_reported(small, runtime):
    exported = small.onnx if runtime == "onnxruntime" else small.openvino
    assert exported.runtime == runtime
    assert exported.precision == "fp32"
    assert exported.path.is_file()
    assert 0 < exported.max_difference <= 1e-5
    weights_mb = sum(parameter.numel() * 4 for parameter in small.model.parameters()) / 1e6
    assert exported.size_mb == pytest.approx(weights_mb, rel=0.25)


@pytest.mark.parametrize("folder", ["onnx", "openvino"])
def test_folder_is_enough_for_plain_transformers(small, folder):
    config = AutoConfig.from_pretrained(small.out / folder)
    assert type(config).__module__.startswith("transformers.")
    assert config.model_type == "bert"
    assert config.num_labels == 3
    text = "the good film"
    tokenizer = AutoTokenizer.from_pretrained(small.out / folder)
    assert tokenizer(text)["input_ids"] == small.tokenizer(text)["input_ids"]


def test_nothing_else_is_left(small):
    names = {path.name for path in small.out.iterdir()}
    assert names == {"model", "onnx", "openvino"}


def test_onnx_axes_are_named(small):
    import onnx

    graph = onnx.load(small.onnx.path).graph
    shapes = {
        port.name: [axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim]
        for port in (*graph.input, *graph.output)
    }
    assert shapes == {
        "input_ids": ["batch", "tokens"],
        "attention_mask": ["batch", "tokens"],
        "token_type_ids": ["batch", "tokens"],
        "logits": ["batch", 3],
    }


def test_a_model_that_differs_is_not_written(small, untraced, monkeypatch, tmp_path):
    write = exporters._write_onnx

    def spoil(model, inputs, path):
        write(model, inputs, path)
        with torch.no_grad():
            model.classifier.bias.add_(1e-3)

    monkeypatch.setattr(exporters, "_write_onnx", spoil)
    with pytest.raises(ModelError, match=r"differs from the PyTorch model by 0\.001"):
        export_onnx(small.folder, tmp_path / "out", small.encoded)
    assert not (tmp_path / "out" / "onnx").exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failing_export_is_one_sentence(small, monkeypatch, tmp_path):
    def fail(model, inputs, path):
        path.write_text("half")
        raise RuntimeError("no such operator\nand a long story")

    monkeypatch.setattr(exporters, "_write_openvino", fail)
    with pytest.raises(ModelError, match=r"can not be exported for openvino: no such operator$"):
        export_openvino(small.folder, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_head_is_refused(tiny_model_folder, tmp_path):
    with pytest.raises(ModelError, match="no task head"):
        export_onnx(tiny_model_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        export_onnx(tmp_path / "nowhere", tmp_path / "out")


def test_exporting_prints_nothing(small, tmp_path, capfd):
    export_onnx(small.folder, tmp_path)
    seen = capfd.readouterr()
    assert seen.out == ""
    assert seen.err == ""


def test_large_weights_lie_beside_the_graph(large, small):
    assert large.path.with_name("model.onnx.data").is_file()
    assert large.path.stat().st_size < 0.5e6 * large.size_mb
    assert large.size_mb == pytest.approx(small.onnx.size_mb, rel=0.05)


def test_weights_of_an_older_larger_export_do_not_stay(large, small, untraced, tmp_path):
    shutil.copytree(large.path.parent, tmp_path / "onnx")
    again = export_onnx(small.folder, tmp_path)
    assert not (tmp_path / "onnx" / "model.onnx.data").exists()
    assert again.size_mb == pytest.approx(small.onnx.size_mb)


def test_a_folder_that_can_not_be_made_is_told(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"file.*can not be made"):
        export_onnx(small.folder, tmp_path / "file")


def test_a_configuration_that_can_not_be_read_is_told(small, tmp_path):
    shutil.copytree(small.folder, tmp_path / "odd")
    path = tmp_path / "odd" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_size": "many"}))
    with pytest.raises(ModelError, match="odd is no model folder"):
        export_onnx(tmp_path / "odd", tmp_path / "out")
