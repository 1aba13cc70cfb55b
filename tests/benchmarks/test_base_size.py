"""The bench of a base-size model: what is compared with what, and its table."""

from __future__ import annotations

import json

import pytest

import base_size_tables
from base_size import best_of


def row(model, runtime, precision, ms, score, form=""):
    rounds = [ms * (1 + 0.01 * (number % 3 - 1)) for number in range(12)]
    named = {"model": model, "runtime": runtime, "precision": precision, "form": form}
    return {**named, "latency_ms": ms, "rounds_ms": rounds, "score": score}


ROWS = [
    row("dense", "torch", "fp32", 100.0, 0.93),
    row("dense", "openvino", "int8", 20.0, 0.925),
    row("dense", "onnxruntime", "int8", 15.0, 0.90),  # fell by three points: no variant to compare with
    row("dense", "openvino", "int8", 18.0, 0.925, "first-token"),  # not plain
    row("pruned", "torch", "fp32", 30.0, 0.92),
    row("pruned", "openvino", "int8", 5.0, 0.915, "first-token"),
    row("pruned", "onnxruntime", "int8", 4.0, 0.80),
]


def test_the_best_variant_is_over_the_best_plain_one_that_keeps_its_score():
    best = best_of(ROWS, "pruned")

    assert best["plain"] == "openvino int8"
    assert best["variant"] == "openvino int8 first-token"
    assert best["ratio"] == pytest.approx(4.0)
    assert best["ratio_low"] <= best["ratio"] <= best["ratio_high"]
    assert best["over_torch"] == pytest.approx(20.0)
    assert best["drop_points"] == pytest.approx(1.5)


def test_the_table_says_where_it_was_trained_and_where_timed(monkeypatch, tmp_path):
    machine = {"cpu": "a cpu", "flags": ["avx2"], "threads": 2}
    trained = {"command": "leanformer compress", "machine": {**machine, "gpu": "a gpu"}, "n": 872}
    trained |= {"training": {"epochs": 2.0}, "pruning_ratio_reached": 0.88}
    facts = {"name": "one", "seed": 0, "command": "it", "commit": "abc", "machine": machine}
    facts |= {"trained": trained, "best": [best_of(ROWS, "pruned")]}
    (tmp_path / "base_size").mkdir()
    (tmp_path / "base_size" / "one.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(base_size_tables, "RESULTS", tmp_path)

    made = base_size_tables.base_size_table()

    assert "| one | 88% | 2 epochs | openvino int8 first-token | 91.5 of 93.0 | +1.5 |" in made
    assert "4.00x" in made
    assert "`leanformer compress` on a cpu (avx2) and a gpu" in made
