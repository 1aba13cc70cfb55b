import json
from dataclasses import asdict

import numpy as np
import pytest

from leanformer.measure.gain import gains


def row(model, runtime, precision, latency_ms, score=0.9, batch=1, noise=0.01):
    generator = np.random.default_rng(int(1000 * latency_ms))
    times = latency_ms * generator.lognormal(0, noise, 21)
    return {
        "model": model,
        "runtime": runtime,
        "precision": precision,
        "batch": batch,
        "latency_ms": float(np.median(times)),
        "score": score,
        "rounds_ms": times.tolist(),
    }


DENSE = [row("dense", "torch", "fp32", 20.0), row("dense", "onnxruntime", "fp32", 9.0)]
DENSE += [
    row("dense", "onnxruntime", "int8", 6.0, score=0.895),
    row("dense", "openvino", "int8", 4.0, score=0.85),
]
SMALL = [row("compressed", "torch", "fp32", 11.0, score=0.88)]


def test_the_bar_is_the_best_plain_variant_that_keeps_its_score():
    """Five points lost in OpenVINO int8 disqualify it; half a point in ONNX Runtime int8 does not."""
    (one,) = gains([*DENSE, *SMALL, row("compressed", "openvino", "int8", 3.0, score=0.875)]).values()
    assert one.best_plain == "onnxruntime int8"
    assert one.best_compressed == "openvino int8"
    assert one.ratio == pytest.approx(2.0, rel=0.02)
    assert 1.9 < one.low <= one.ratio <= one.high < 2.1
    assert one.gain


def test_a_compressed_variant_whose_score_fell_is_no_gain():
    fallen = row("compressed", "openvino", "int8", 3.0, score=0.80)
    (one,) = gains([*DENSE, *SMALL, fallen]).values()
    assert one.best_compressed == "torch fp32"
    assert one.ratio < 1
    assert not one.gain


def test_a_tie_is_no_gain():
    alike = row("compressed", "openvino", "fp32", 6.0, score=0.88)
    alike["rounds_ms"] = [
        time * (0.96 if number % 2 else 1.03) for number, time in enumerate(alike["rounds_ms"])
    ]
    (one,) = gains([*DENSE, *SMALL, alike]).values()
    assert one.low < 1 < one.high
    assert not one.gain


def test_a_form_is_a_variant_of_its_own_and_named():
    """The dense model needs no compression for it, so it is part of the bar as well."""
    faster = [
        row("dense", "onnxruntime", "int8", 5.0, score=0.895) | {"form": "first-token"},
        row("compressed", "openvino", "int8", 4.0, score=0.88) | {"form": ""},
        row("compressed", "openvino", "int8", 2.5, score=0.88) | {"form": "first-token+eager-attention"},
    ]
    (one,) = gains([*DENSE, *SMALL, *faster]).values()
    assert one.best_plain == "onnxruntime int8 first-token"
    assert one.best_compressed == "openvino int8 first-token+eager-attention"
    assert one.ratio == pytest.approx(2.0, rel=0.02)


def test_every_batch_size_has_its_own_best():
    rows = [*DENSE, *SMALL]
    rows += [row("dense", "torch", "fp32", 50.0, batch=8), row("compressed", "torch", "bf16", 20.0, batch=8)]
    rows += [row("compressed", "torch", "fp32", 30.0, batch=8)]
    found = gains(rows)
    assert list(found) == ["1", "8"]
    assert (found["8"].best_plain, found["8"].best_compressed) == ("torch fp32", "torch bf16")
    plain = {batch: asdict(one) for batch, one in found.items()}
    assert json.loads(json.dumps(plain)) == plain
    assert plain["8"].keys() == {"best_plain", "best_compressed", "ratio", "low", "high", "gain"}


def test_the_same_seed_gives_the_same_interval():
    rows = [*DENSE, *SMALL]
    assert gains(rows, seed=3) == gains(rows, seed=3)


def test_models_that_are_not_there_are_no_verdict():
    with pytest.raises(ValueError, match="no row of compressed at batch 1"):
        gains(DENSE)
