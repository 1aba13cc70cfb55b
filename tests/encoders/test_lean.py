from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import transformers

from leanformer.encoders.carried import FAMILIES, TASKS, LeanModel
from leanformer.encoders.lean import afresh, lean_class_for, stock_class_for
from leanformer.errors import ModelError
from leanformer.structure.surgery import slice_units
from leanformer.structure.tokens import with_kept_tokens


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("auto", TASKS)
def test_every_head_has_a_lean_class_that_transformers_knows(family, auto):
    auto_class = getattr(transformers, auto)
    stock = auto_class._model_mapping[type(transformers.AutoConfig.for_model(family))]
    lean_config = transformers.AutoConfig.for_model(f"leanformer-{family}", per_layer_config={})
    lean = auto_class._model_mapping[type(lean_config)]
    assert issubclass(lean, LeanModel)
    assert issubclass(lean, stock)


def test_classes_are_found_from_stock_and_from_lean_models(tiny_model):
    model = tiny_model("electra")
    small = slice_units(model, {(0, "head"): torch.tensor([1.0, 0, 1, 0])})
    assert lean_class_for(model) is lean_class_for(small) is type(small)
    assert stock_class_for(model) is stock_class_for(small) is transformers.ElectraForSequenceClassification


def test_a_head_without_a_lean_class_is_refused(tiny_model):
    model = transformers.AutoModelForMultipleChoice.from_config(tiny_model("roberta").config)
    with pytest.raises(ModelError, match="RobertaForMultipleChoice"):
        lean_class_for(model)


def test_models_made_in_two_threads_leave_the_initialisers_as_they_were(tiny_model):
    units = {(0, "head"): torch.tensor([1.0, 0, 1, 0])}
    before = (torch.nn.init.normal_, torch.nn.init.zeros_, transformers.PreTrainedModel.init_weights)
    together = threading.Barrier(2)

    def build(model) -> None:
        together.wait(60)
        for _ in range(20):
            slice_units(model, units)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, [tiny_model("bert"), tiny_model("roberta")]))
    after = (torch.nn.init.normal_, torch.nn.init.zeros_, transformers.PreTrainedModel.init_weights)
    assert after == before


@pytest.mark.parametrize("lean", [False, True])
def test_a_model_made_afresh_has_no_hooks_and_the_same_weights(tiny_model, lean):
    model = (
        slice_units(tiny_model("bert"), {}) if not lean else with_kept_tokens(tiny_model("bert"), [0.5, 0.5])
    )
    model.eval()
    words = {"input_ids": torch.tensor([[2, 9, 11, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.no_grad():
        expected = model(**words, output_hidden_states=True).logits
    assert any(module._forward_hooks for module in model.modules())
    made = afresh(model)
    assert not any(module._forward_hooks for module in made.modules())
    assert type(made) is type(model)
    assert [one.data_ptr() for one in made.parameters()] == [one.data_ptr() for one in model.parameters()]
    with torch.no_grad():
        assert torch.equal(made(**words).logits, expected)
