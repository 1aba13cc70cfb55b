"""The facts of a run."""

import torch

from leanformer.encoders.view import EncoderView
from leanformer.record import layer_facts, model_facts, speed_facts
from leanformer.tasks.predict import Score


def test_layers_of_units(tiny_model):
    view = EncoderView(tiny_model("bert"))
    masks = {(0, "head"): torch.tensor([1.0, 0, 0, 1]), (0, "neuron"): torch.zeros(64)}
    first, second = layer_facts(view, masks)
    assert first == {
        "layer": 0,
        "heads": 2,
        "dense_heads": 4,
        "neurons": 0,
        "dense_neurons": 64,
        "head_kept": [1, 0, 0, 1],
        "neuron_kept_share": 0.0,
    }
    assert (second["heads"], second["neurons"], second["neuron_kept_share"]) == (4, 64, 1.0)


def test_layers_of_weights(tiny_model):
    view = EncoderView(tiny_model("bert"))
    mask = torch.ones(32, 32)
    mask[:8] = 0
    first, second = layer_facts(view, {(0, "query"): mask})
    assert first["matrix_ratio"] == {"query": 0.25}
    assert first["heads"] == 4
    assert "matrix_ratio" not in second


def test_model_facts_count_the_layers_and_the_whole(tiny_model):
    model = tiny_model("bert")
    facts = model_facts(EncoderView(model), Score("accuracy", 0.8, 0.7, 0.9, 60, {"f1": 0.75}), size_mb=1.5)
    assert facts["encoder_parameters"] == sum(p.numel() for p in model.bert.encoder.layer.parameters())
    assert facts["parameters"] == sum(p.numel() for p in model.parameters())
    assert (facts["score"], facts["low"], facts["high"], facts["size_mb"]) == (0.8, 0.7, 0.9, 1.5)
    assert facts["extra"] == {"f1": 0.75}


def test_speed_is_that_of_the_compressed_model_in_pytorch():
    keys = ("model", "runtime", "precision", "batch", "ratio", "ratio_low", "ratio_high")
    rows = [
        ("dense", "torch", "fp32", 1, 1.0, 1.0, 1.0),
        ("compressed", "onnxruntime", "int8", 1, 4.0, 3.9, 4.1),
        ("compressed", "torch", "fp32", 1, 1.8, 1.7, 1.9),
        ("compressed", "torch", "fp32", 8, 2.0, 1.9, 2.1),
    ]
    plain = [dict(zip(keys, row, strict=True)) for row in rows]
    facts = speed_facts([*plain, *(row | {"form": "first-token", "ratio": 9.0} for row in plain)])
    assert facts == {
        "speedup": {"1": 1.8, "8": 2.0},
        "speedup_interval": {"1": [1.7, 1.9], "8": [1.9, 2.1]},
    }
