import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch

from leanformer.errors import ModelError
from leanformer.export.loading import task_of_head
from leanformer.export.runtimes import COMPILED, VARIANTS, CompileError, load_runner, predict_with
from leanformer.tasks.predict import predict

FP32 = [runtime for runtime, precision in VARIANTS if precision == "fp32"]


@pytest.mark.parametrize("runtime", FP32)
@pytest.mark.parametrize("batch_size", [4, 32])
def test_answers_come_in_the_order_of_the_data(small, runtime, batch_size):
    source = small.folder if runtime == "torch" else small.out
    runner = load_runner(source, runtime, threads=1)
    expected = predict(small.model, small.encoded, small.tokenizer, batch_size=7)
    answer = predict_with(runner, small.encoded, small.tokenizer, batch_size)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 1e-3  # rows differ, so their order shows


@pytest.mark.parametrize("runtime", FP32)
def test_an_answer_outlives_the_next_call(small, runtime):
    runner = load_runner(small.folder if runtime == "torch" else small.out, runtime, threads=1)
    ones = {name: np.ones((1, 9), dtype=np.int64) for name in ("input_ids", "attention_mask")}
    ones["token_type_ids"] = np.zeros((1, 9), dtype=np.int64)
    first = runner(ones)
    kept = first.copy()
    runner({**ones, "input_ids": ones["input_ids"] * 30})
    np.testing.assert_array_equal(first, kept)


def test_a_model_in_memory_is_taken(small):
    runner = load_runner(small.model, "torch", threads=1)
    assert runner.model is small.model
    assert (runner.name, runner.precision) == ("torch", "fp32")
    with pytest.raises(ModelError, match="not a model in memory"):
        load_runner(small.model, "openvino")


def test_threads_are_the_same_for_all(small):
    before = torch.get_num_threads()
    try:
        load_runner(small.folder, "torch", threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    session = load_runner(small.out, "onnxruntime", threads=2).session
    assert session.get_session_options().intra_op_num_threads == 2
    compiled = load_runner(small.out, "openvino", threads=2).request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_written_out_attention_answers_alike_and_is_really_taken(family, tiny_model, small):
    model = tiny_model(family, num_labels=3)
    fused, eager = (load_runner(model, "torch", name, threads=1) for name in ("fp32", "fp32-eager"))
    answers = [predict_with(runner, small.encoded, small.tokenizer) for runner in (fused, eager)]
    np.testing.assert_allclose(*answers, atol=1e-5)
    assert (fused.precision, eager.precision) == ("fp32", "fp32-eager")
    calls = {}
    for runner in (fused, eager):
        seen = calls.setdefault(runner.precision, [])
        with pytest.MonkeyPatch.context() as patch:
            real = torch.nn.functional.scaled_dot_product_attention
            patch.setattr(
                torch.nn.functional,
                "scaled_dot_product_attention",
                lambda *given, seen=seen, real=real, **named: seen.append(1) or real(*given, **named),
            )
            predict_with(runner, small.encoded.select(range(2)), small.tokenizer)
    assert calls["fp32"]
    assert not calls["fp32-eager"]


def test_the_small_classes_take_written_out_attention_too(small):
    """transformers' own setter refuses them silently."""
    eager = load_runner(small.folder, "torch", "fp32-eager", threads=1)
    assert {
        module.config._attn_implementation for module in eager.model.modules() if hasattr(module, "config")
    } == {"eager"}
    expected = predict(small.model, small.encoded, small.tokenizer)
    np.testing.assert_allclose(predict_with(eager, small.encoded, small.tokenizer), expected, atol=1e-5)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bf16_answers_in_float32_and_nearly_the_same(small, runtime):
    source = small.folder if runtime == "torch" else small.out
    runner = load_runner(source, runtime, "bf16", threads=1)
    answer = predict_with(runner, small.encoded, small.tokenizer)
    expected = predict(small.model, small.encoded, small.tokenizer)
    assert answer.dtype == np.float32
    error = np.abs(answer - expected).max() / np.abs(expected).max()
    assert error < 0.05
    if runtime == "torch":
        assert {parameter.dtype for parameter in runner.model.parameters()} == {torch.bfloat16}
        assert error > 1e-6  # it is really less precise
    else:
        hint = runner.request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
        assert str(hint) in (
            "<Type: 'bfloat16'>",
            "<Type: 'float32'>",
        )  # the latter where the processor lacks it


@pytest.mark.parametrize("precision", ["bf16", "fp32-eager"])
def test_a_model_in_memory_stays_as_it_is(small, precision):
    model = deepcopy(small.model)
    load_runner(model, "torch", precision, threads=1)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config._attn_implementation == "sdpa"


def test_a_compiler_that_fails_is_one_sentence(small, monkeypatch):
    def broken(model, dynamic):
        def forward(**inputs):
            raise RuntimeError("no C++ compiler\nwith a long trace")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    runner = load_runner(small.model, "torch", COMPILED, threads=1)
    with pytest.raises(CompileError, match=r"torch\.compile fails here: no C\+\+ compiler$"):
        predict_with(runner, small.encoded, small.tokenizer)


def test_compiled_answers_are_the_same(small, monkeypatch):
    """With the compiler's own front, and its slow back end left out."""
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, dynamic: real(model, dynamic=dynamic, backend="eager")
    )
    runner = load_runner(small.model, "torch", COMPILED, threads=1)
    expected = predict(small.model, small.encoded, small.tokenizer)
    np.testing.assert_allclose(predict_with(runner, small.encoded, small.tokenizer, 8), expected, atol=1e-5)


def test_an_onnx_file_is_run_without_pytorch(small):
    """Else its memory would be measured with PyTorch's."""
    code = (
        "import sys; from pathlib import Path; from leanformer.export.runtimes import OnnxRunner; "
        f"OnnxRunner(Path({str(small.onnx.path)!r}), 'fp32', 1); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("runtime", "precision"), [("torch", "int8"), ("tensorrt", "fp32"), ("openvino", "fp8")]
)
def test_unknown_variants_are_told(small, runtime, precision):
    with pytest.raises(ModelError, match="choose one of torch fp32"):
        load_runner(small.out, runtime, precision)


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(ModelError, match=r"model_int8.onnx.*leanformer export --format onnx --int8"):
        load_runner(tmp_path, "onnxruntime", "int8")


def test_the_head_says_its_task(tiny_model):
    three = tiny_model("bert", num_labels=3).config
    assert task_of_head(three).num_labels == 3
    one = tiny_model("bert", num_labels=1).config
    assert task_of_head(one).kind == "regression"
