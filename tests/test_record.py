"""The facts of a run."""

import pytest
import torch

from leanformer.budget import Budget, Target
from leanformer.encoders.view import EncoderView
from leanformer.job import Job
from leanformer.record import budget_facts, layer_facts, model_facts, speed_facts
from leanformer.tasks.load import DataSpec
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


def test_a_head_without_values_is_gone(tiny_model):
    values = torch.ones(32)
    values[8:16] = 0
    first, _ = layer_facts(EncoderView(tiny_model("bert")), {(0, "value_output"): values})
    assert first["head_kept"] == [1, 0, 1, 1]


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


INT8 = Target("onnxruntime", "int8", 8)


def limits_of(budget, target=INT8, ratio=0.498, score=0.78, accepted=True, method="ae-bert", limits=None):
    """The limits of a run that was timed in onnxruntime int8 at batch 8, and in PyTorch at batch 1."""
    keys = ("model", "runtime", "precision", "batch", "ratio", "ratio_low", "ratio_high", "latency_ms")
    rows = [
        ("dense", "onnxruntime", "int8", 8, 9.0, 8.0, 9.5, 1.0),
        ("compressed", "torch", "fp32", 1, 1.8, 1.7, 1.9, 6.0),
        ("compressed", "onnxruntime", "int8", 8, 4.0, 3.8, 4.2, 10.0),
    ]
    bench = [
        dict(zip(keys, row, strict=True))
        | {"latency_low": 9.5, "latency_high": 10.5, "score": score, "form": ""}
        for row in rows
    ]
    faster = bench[-1] | {"form": "first-token", "ratio": 99.0, "latency_ms": 0.1}
    proof = {
        "bench": [faster, *bench],
        "exports": [{"runtime": "onnxruntime", "precision": "int8", "accepted": accepted}],
        "dense": {"score": 0.8},
        "compressed": {"score": 0.79, "size_mb": 69.6},
        "drop_points": 1.0,
        "drop_interval": [-0.5, 2.5],
        "limits": limits,
    }
    job = Job("bert", DataSpec("reviews"), budget, method, threads=1, target=target)
    target = job.target
    facts = budget_facts(job, {"pruning_ratio_reached": ratio, "macs_share": 0.51}, proof)
    assert (facts["runtime"], facts["precision"], facts["batch"]) == (
        target.runtime,
        target.precision,
        target.batch,
    )
    return {
        limit["name"]: tuple(limit[key] for key in ("measured", "low", "high", "met"))
        for limit in facts["limits"]
    }


def test_limits_are_those_that_were_asked_for_measured_on_the_target():
    assert limits_of(Budget(speedup=3.0, size_mb=70.0)) == {
        "speedup": (4.0, 3.8, 4.2, True),
        "size_mb": (69.6, None, None, True),
    }
    assert limits_of(Budget()) == {"pruning_ratio": (0.498, None, None, True)}


def test_the_measured_figure_decides_and_not_its_interval():
    assert limits_of(Budget(speedup=4.1))["speedup"] == (4.0, 3.8, 4.2, False)
    assert limits_of(Budget(speedup=3.9))["speedup"] == (4.0, 3.8, 4.2, True)
    assert limits_of(Budget(latency_ms=9.9))["latency_ms"] == (10.0, 9.5, 10.5, False)
    torch_alone = Target()
    assert limits_of(Budget(max_drop_points=0.9), torch_alone)["max_drop_points"] == (1.0, -0.5, 2.5, False)
    assert limits_of(Budget(max_drop_points=1.1), torch_alone)["max_drop_points"] == (1.0, -0.5, 2.5, True)


def test_a_ratio_has_the_tolerance_of_the_search_and_megabytes_have_none():
    assert limits_of(Budget(0.5), ratio=0.4951)["pruning_ratio"][-1]
    assert not limits_of(Budget(0.5), ratio=0.4949)["pruning_ratio"][-1]
    assert not limits_of(Budget(size_mb=69.59))["size_mb"][-1]
    assert limits_of(Budget(macs_share=0.52))["macs_share"] == (0.51, None, None, True)
    assert not limits_of(Budget(macs_share=0.5))["macs_share"][-1]


def test_points_are_those_lost_where_the_model_is_served():
    """PyTorch lost 1 point, the int8 file 2: its own interval was not drawn."""
    asked = Budget(max_drop_points=1.5)
    assert limits_of(asked)["max_drop_points"] == (pytest.approx(2.0), None, None, False)
    assert limits_of(asked, score=0.79)["max_drop_points"] == (1.0, -0.5, 2.5, True)
    assert limits_of(asked, Target("onnxruntime", "int8", 64))["max_drop_points"][0] == pytest.approx(2.0)


def test_a_target_that_was_not_timed_or_whose_file_was_not_kept_is_missed():
    asked = Budget(speedup=2.0, max_drop_points=3.0)
    nothing = {"speedup": (None, None, None, False), "max_drop_points": (None, None, None, False)}
    assert limits_of(asked, Target("openvino", "int8", 8)) == nothing
    assert limits_of(asked, accepted=False) == nothing
    assert limits_of(Budget(speedup=2.0), Target("onnxruntime", "int8", 64))["speedup"] == (
        None,
        None,
        None,
        False,
    )


def test_what_may_change_is_measured_on_held_out_rows():
    asked = Budget(max_flips_percent=3.0, max_bias_increase=0.02)
    measured = {
        "max_flips_percent": {"value": 2.5, "low": 1.0, "high": 4.0, "n": 200, "unit": "texts"},
        "max_bias_increase": {"value": 0.03, "low": -0.01, "high": 0.07, "n": 40, "unit": "pairs of texts"},
    }
    found = limits_of(asked, limits=measured)
    assert found["max_flips_percent"] == (2.5, 1.0, 4.0, True)
    assert found["max_bias_increase"] == (0.03, -0.01, 0.07, False)
    assert limits_of(asked, limits={})["max_flips_percent"] == (None, None, None, False)
