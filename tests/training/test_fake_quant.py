"""A fake-quantised model answers as its int8 export does, and lets gradients through."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.export.cpu import Cpu, cpu
from leanformer.export.exporters import export_onnx
from leanformer.export.quantise import quantise_onnx
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.structure.surgery import slice_units
from leanformer.tasks.predict import predict
from leanformer.training.fake_quant import fake_quantised, rounded_tensor, rounded_weight

OLD_CHIP = Cpu("old", "x86_64", ("avx2",))
NEW_CHIP = Cpu("new", "x86_64", ("avx2", "vnni"))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.sampled_from([7, 8]))
def test_rounding_stays_within_half_a_step(seed, size, bits):
    values = size * torch.randn(5, 16, generator=torch.Generator().manual_seed(seed))
    steps = values.abs().amax(dim=1, keepdim=True) / {7: 64, 8: 127}[bits]
    rounded = rounded_weight(values, bits)
    assert ((rounded - values).abs() <= 0.501 * steps).all()
    assert torch.allclose(rounded / steps, (rounded / steps).round(), atol=1e-3)
    step = (values.max().clamp(min=0) - values.min().clamp(max=0)) / 255
    assert ((rounded_tensor(values) - values).abs() <= 1.01 * step).all()
    assert len(rounded_tensor(values.repeat(20, 20) * 1.0).unique()) <= 256


def test_nothing_stays_nothing():
    assert torch.equal(rounded_weight(torch.zeros(3, 4)), torch.zeros(3, 4))
    assert torch.equal(rounded_tensor(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_the_tensor_is_rounded_as_onnx_says():
    import onnx.reference.ops.op_dynamic_quantize_linear as reference

    values = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    quantised, scale, zero = reference.DynamicQuantizeLinear._run(None, values)
    expected = (quantised.astype(np.float32) - zero.astype(np.float32)) * scale
    np.testing.assert_allclose(rounded_tensor(torch.from_numpy(values)).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", pytest.param("modernbert", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("chip", "bits"), [(NEW_CHIP, 8), (OLD_CHIP, 7)])
def test_it_answers_as_the_int8_export(family, chip, bits, exported, mood_held_out, tiny_tokenizer):
    if cpu().saturates_int8 and not chip.saturates_int8:
        pytest.skip("eight-bit weights saturate on this processor, as fake quantisation does not")
    model, out = exported(family)
    kept = ((0, "head"),)
    for float_sublayers in ((), kept):
        made = quantise_onnx(out, chip, float_sublayers)
        runner = load_runner(made.path, "onnxruntime", "int8")
        int8 = predict_with(runner, mood_held_out, tiny_tokenizer, batch_size=8)
        with fake_quantised(model, bits, float_sublayers):
            fake = predict(model, mood_held_out, tiny_tokenizer, batch_size=8)
        exact = predict(model, mood_held_out, tiny_tokenizer, batch_size=8)
        from_int8 = np.sqrt(np.square(fake - int8).mean())
        from_exact = np.sqrt(np.square(exact - int8).mean())
        assert from_exact > 1e-3
        assert from_int8 < 0.5 * from_exact


@pytest.fixture(scope="module")
def exported(tiny_model, tiny_tokenizer, tmp_path_factory):
    """The function exported(family): a lean model and the folder of its export, made once."""
    made = {}

    def make(family):
        if family not in made:
            model = slice_units(tiny_model(family), {(1, "neuron"): torch.zeros(64)})
            out = tmp_path_factory.mktemp(family)
            save_model(model, tiny_tokenizer, out / "model")
            export_onnx(out / "model", out)
            made[family] = (model, out)
        return made[family]

    return make


def inputs():
    return {
        "input_ids": torch.tensor([[2, 9, 12, 30, 3], [2, 14, 21, 3, 0]]),
        "attention_mask": torch.ones(2, 5),
    }


def test_gradients_flow_to_every_weight_and_nothing_is_left_behind(tiny_model):
    model = tiny_model("bert")
    before, keys = model(**inputs()).logits, list(model.state_dict())
    with fake_quantised(model):
        assert list(model.state_dict()) == keys
        inside = model(**inputs()).logits
        inside.sum().backward()
    assert not torch.equal(inside, before)
    view = EncoderView(model)
    for layer in range(view.n_layers):
        for kind in ("head", "neuron"):
            for linear in view.linears(layer, kind):
                assert linear.weight.grad is not None
    assert model.bert.embeddings.word_embeddings.weight.grad.abs().max() > 0
    assert model.bert.encoder.layer[0].output.dense.weight.grad.abs().max() > 0
    assert torch.equal(model(**inputs()).logits, before)
    assert not any("forward" in vars(module) for module in model.modules())


def test_it_is_undone_after_an_error_and_not_entered_twice(tiny_model):
    model = tiny_model("bert")
    with (
        fake_quantised(model),
        pytest.raises(ValueError, match="leave that context first"),
        fake_quantised(model),
    ):
        pass
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"bits": 4}, "not 4"), ({"float_sublayers": [(9, "head")]}, "no sub-layer '9 head'")],
)
def test_what_there_is_not_is_refused(options, said, tiny_model):
    model = tiny_model("bert")
    with pytest.raises(ValueError, match=said), fake_quantised(model, **options):
        pass
