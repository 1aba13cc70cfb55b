"""A realistic, synthetic result.json: the figures are drawn from a seeded generator."""

from __future__ import annotations

import math
import random
from typing import Any

from ladder_example import example_ladder

SEEDS = ("uniform", "global", "reconstruction")
RUNGS = ["zero-shot", "repaired (128 rows)", "recalibrated", "short-training"]
SENTENCE = (
    "the film is a slow but warm look at two brothers who run a small bakery and quarrel over money love and "
    "bread with wit good acting some clumsy scenes and an ending that nobody in the audience will see coming"
)
WORDS = SENTENCE.split()


def example_result(
    seed: int = 0,
    layers: int = 12,
    heads: int = 12,
    granularity: str = "unit",
    kind: str = "classification",
    pair: bool = False,
) -> dict[str, Any]:
    """Build a whole result with every optional part."""
    draw = random.Random(seed)
    neurons = 1536
    shapes = [_layer(draw, layer, heads, neurons, granularity) for layer in range(layers)]
    kept = sum(one["neurons"] / neurons + one["heads"] / heads for one in shapes) / (2 * layers)
    metric = "spearman" if kind == "regression" else "accuracy"
    compressed = 10_646_784 if granularity == "weight" else int(10_646_784 * kept)
    ratio = 0.5002 if granularity == "weight" else round(1 - compressed / 10_646_784, 4)
    return {
        "run": "runs/rotten-tomatoes",
        "version": "0.1.0",
        "created": "2026-11-21 02:30",
        "model": "example-org/MiniLM-L12",
        "command": "leanformer compress example-org/MiniLM-L12 --data reviews/ --pruning-ratio 0.5 --seed 0",
        "machine": _machine(),
        "method": "ae-bert",
        "granularity": granularity,
        "task": _task(kind, pair),
        "metric": metric,
        "n": 408,
        "seed": 0,
        "pruning_ratio": round(ratio, 2),
        "pruning_ratio_reached": ratio,
        "dense": {
            "score": 0.8014,
            "low": 0.762,
            "high": 0.8382,
            "encoder_parameters": 10_646_784,
            "size_mb": 90.9,
            "parameters": 22_713_986,
        },
        "compressed": {
            "score": 0.7941,
            "low": 0.7549,
            "high": 0.8309,
            "encoder_parameters": compressed,
            "size_mb": 69.6 if granularity == "unit" else 90.9,
            "parameters": 22_713_986 - 10_646_784 + compressed,
        },
        "drop_points": 0.73,
        "drop_interval": [-0.49, 1.96],
        "test": {"n": 1725, "dense": 0.7913, "compressed": 0.7838, "drop_interval": [-0.29, 1.8]},
        "speedup": {"1": 1.86, "8": 2.07},
        "speedup_interval": {"1": [1.79, 1.94], "8": [2.01, 2.13]},
        "layers": shapes,
        "door": "plain" if granularity == "weight" else "lean",
        "search": _search(draw, layers),
        "training": {
            "teacher_seconds": 118.2,
            "recovery_seconds": 171.9,
            "epochs": 3,
            "curve": [
                {"step": 10 * step, "loss": 0.25 + 1.1 * math.exp(-step / 18) + abs(draw.gauss(0, 0.05))}
                for step in range(1, 90)
            ],
        },
        "bench": _bench(draw),
        "flips": [_flip(draw, row, kind, pair) for row in range(37)],
        "flips_total": 37,
        "exports": _exports(),
        "stages": [
            {"name": name, "seconds": duration}
            for name, duration in (
                ("data", 1.4),
                ("teacher", 118.2),
                ("latency", 9.1),
                ("search", 40.2),
                ("recover", 171.9),
                ("export and int8", 35.0),
                ("measure", 58.3),
            )
        ],
    }


def _task(kind: str, pair: bool) -> dict[str, Any]:
    labels = [] if kind == "regression" else ["negative", "positive"]
    return {
        "name": "stsb" if kind == "regression" else "rotten-tomatoes",
        "kind": kind,
        "labels": labels,
        "pair": pair,
    }


def _machine() -> dict[str, Any]:
    return {
        "cpu": "Example CPU @ 2.60GHz",
        "flags": ["avx2", "avx512_vnni"],
        "cores": 2,
        "threads": 2,
        "load": [0.4, 0.3, 0.2],
        "versions": {"python": "3.11.9", "torch": "2.9.0", "transformers": "5.20.0", "onnxruntime": "1.23.2"},
    }


def _layer(draw: random.Random, layer: int, heads: int, neurons: int, granularity: str) -> dict[str, Any]:
    shape: dict[str, Any] = {"layer": layer, "dense_heads": heads, "dense_neurons": neurons}
    if granularity == "weight":
        names = ("query", "key", "value", "attention_out", "ffn_in", "ffn_out")
        ratios = {name: min(0.98, max(0.05, draw.gauss(0.5, 0.22))) for name in names}
        return shape | {
            "heads": heads,
            "neurons": neurons,
            "head_kept": [1] * heads,
            "neuron_kept_share": 1.0,
            "matrix_ratio": ratios,
        }
    kept = [int(draw.random() < 0.75 - 0.4 * layer / 12) for _ in range(heads)]
    if layer == 10:
        kept = [0] * heads
    left = int(neurons * draw.uniform(0.2, 0.85))
    return shape | {
        "heads": sum(kept),
        "neurons": left,
        "head_kept": kept,
        "neuron_kept_share": left / neurons,
    }


def _search(draw: random.Random, layers: int) -> dict[str, Any]:
    candidates: list[dict[str, Any]] = []
    for index in range(64):
        origin = SEEDS[index] if index < 3 else "random" if index < 34 else "swap" if index % 4 else "blend"
        quality = math.exp(draw.gauss(-1.3 - (0.4 if origin in ("swap", "blend") else 0), 0.45))
        candidates.append(
            {
                "id": index,
                "origin": origin,
                "generation": 0 if index < 34 else 1 + (index - 34) // 10,
                "ratio": 0.5 + draw.uniform(-0.005, 0.005),
                "scores": {"zero-shot": quality},
                "chosen": False,
                "kept": [round(draw.uniform(0.1, 0.95), 4) for _ in range(2 * layers)],
            }
        )
    alive = candidates
    for rung, share, factor in (
        ("repaired (128 rows)", 32, 0.45),
        ("recalibrated", 14, 0.3),
        ("short-training", 6, 0.12),
    ):
        alive = sorted(alive, key=lambda one: min(one["scores"].values()))[:share]
        for one in alive:
            one["scores"][rung] = one["scores"]["zero-shot"] * factor * math.exp(draw.gauss(0, 0.15))
    min(alive, key=lambda one: one["scores"]["short-training"])["chosen"] = True
    return {"candidates": candidates, "seconds": 40.2, "rungs": RUNGS, "evaluation_rows": 512}


def _bench(draw: random.Random) -> list[dict[str, Any]]:
    rows = []
    variants = (
        ("torch", "fp32", 1.0),
        ("onnxruntime", "fp32", 1.45),
        ("onnxruntime", "int8", 2.4),
        ("openvino", "fp32", 1.6),
        ("openvino", "int8", 2.9),
    )
    for batch in (1, 8):
        for model, gain, score, size in (("dense", 1.0, 0.8014, 90.9), ("compressed", 1.9, 0.7941, 69.6)):
            for runtime, precision, speed in variants:
                ratio = (
                    gain * speed * (1 + 0.08 * (batch == 8))
                    if (model, runtime) != ("dense", "torch")
                    else 1.0
                )
                fell = (model, runtime, precision) == ("compressed", "onnxruntime", "int8")
                latency = 11.3 * batch**0.85 / ratio
                width = 0.0 if ratio == 1.0 else ratio * draw.uniform(0.02, 0.05)
                rows.append(
                    {
                        "model": model,
                        "runtime": runtime,
                        "precision": precision,
                        "batch": batch,
                        "latency_ms": latency,
                        "latency_low": 0.97 * latency,
                        "latency_high": 1.04 * latency,
                        "ratio": ratio,
                        "ratio_low": ratio - width,
                        "ratio_high": ratio + width,
                        "score": score - (0.031 if fell else 0.002 if precision == "int8" else 0.0),
                        "n": 408,
                        "size_mb": size / (3.6 if precision == "int8" else 1),
                    }
                )
    return rows


def _flip(draw: random.Random, index: int, kind: str, pair: bool) -> dict[str, Any]:
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(8, 34))).capitalize() + "." for _ in range(2)]
    flip: dict[str, Any] = {"row": 11 * index + 2, "text": texts[0], "text_pair": texts[1] if pair else None}
    if kind == "regression":
        label, before = draw.uniform(0, 5), draw.uniform(0, 5)
        return flip | {
            "label": label,
            "dense_answer": before,
            "lean_answer": before + draw.gauss(0, 0.8),
            "dense_probability": None,
            "lean_probability": None,
        }
    before = draw.randint(0, 1)
    return flip | {
        "label": draw.randint(0, 1),
        "dense_answer": before,
        "lean_answer": 1 - before,
        "dense_probability": draw.uniform(0.5, 0.98),
        "lean_probability": draw.uniform(0.5, 0.98),
    }


def _exports() -> list[dict[str, Any]]:
    keys = ("runtime", "precision", "path", "size_mb", "score", "max_difference")
    rows = (
        ("onnxruntime", "fp32", "onnx/model.onnx", 69.8, 0.7941, 2.1e-6),
        ("onnxruntime", "int8", "onnx/model_int8.onnx", 19.1, 0.7631, 0.41),
        ("openvino", "fp32", "openvino/openvino_model.xml", 69.7, 0.7941, 3.8e-6),
        ("openvino", "int8", "openvino/openvino_model_int8.xml", 18.9, 0.7917, 0.22),
    )
    return [dict(zip(keys, row, strict=True)) for row in rows]


def example_climb(why: str = "budget", rungs: int = 7) -> dict[str, Any]:
    """Build a whole result of `--method auto`: up to rung 2 nothing is removed."""
    ladder = example_ladder(why, rungs)
    i, j = ladder["chosen"]
    result = example_result() | {"method": "auto", "ladder": ladder}
    result["serve"] = {key: ladder["rungs"][i]["steps"][j][key] for key in ("runtime", "precision", "form")}
    if ladder["rungs"][i]["pruning_ratio"] == 0:
        result |= {"drop_points": 0.0, "drop_interval": [0.0, 0.0], "search": None, "pruning_ratio": 0.0}
        result |= {
            "compressed": dict(result["dense"]),
            "pruning_ratio_reached": 0.0,
            "flips": [],
            "flips_total": 0,
        }
        result |= {"speedup": {"1": 1.0}, "speedup_interval": {"1": [0.98, 1.02]}, "test": None}
        result["bench"] = [row for row in result["bench"] if row["model"] == "dense"]
        for layer in result["layers"]:
            layer |= {"heads": layer["dense_heads"], "head_kept": [1] * layer["dense_heads"]}
            layer |= {"neurons": layer["dense_neurons"], "neuron_kept_share": 1.0}
    return result


def example_budget(
    runtime: str = "openvino", precision: str = "int8", batch: int = 1, **limits: Any
) -> dict[str, Any]:
    """Build a result's "budget"; each limit is given as (asked, measured, low, high, met)."""
    keys = ("asked", "measured", "low", "high", "met")
    rows = [{"name": name, **dict(zip(keys, values, strict=True))} for name, values in limits.items()]
    return {"runtime": runtime, "precision": precision, "batch": batch, "limits": rows}
