import numpy as np
import pytest
import torch

from leanformer.errors import ModelError
from leanformer.export.loading import task_of_head
from leanformer.export.runtimes import VARIANTS, load_runner, predict_with
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
