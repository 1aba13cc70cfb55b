"""A realistic, synthetic league.json."""

from __future__ import annotations

from typing import Any

PAPER = "A Paper on Pruning, arXiv 0000.00000"
# method, points lost, reached, encoder's share, minutes, steps, speed-up at batch 1 and at batch 8
FIGURES = (
    ("accuracy-driven", -0.2, 0.03, 0.97, 4.2, 0, (1.02, 1.03)),
    ("astar-heads", 0.4, 0.21, 0.93, 6.1, 0, (1.04, 1.06)),
    ("ae-bert", 0.7, 0.50, 0.50, 14.2, 744, (1.52, 1.86)),
    ("gradual-magnitude", 0.9, 0.50, 0.50, 11.8, 744, (1.49, 1.84)),
    ("uniform-magnitude", 1.1, 0.50, 0.50, 9.9, 744, (1.55, 1.89)),
    ("ae-bert-random", 1.6, 0.50, 0.50, 13.9, 744, (1.50, 1.80)),
    ("drop-layers", 2.2, 0.50, 0.50, 9.1, 744, (1.78, 1.92)),
    ("one-shot", 2.9, 0.50, 0.50, 1.4, 0, (1.49, 1.83)),
    ("taylor-heads", 14.5, 0.50, 0.84, 0.6, 0, (1.10, 1.15)),
)


def example_league(test: bool = True, int8: bool = True, seeds: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Build a whole league: one row is beaten by the simplest method, one cell was refused."""
    rows = [_row(figures, test, int8, seeds) for figures in FIGURES]
    next(row for row in rows if row["method"] == "ae-bert-random")["beaten_by"] = "uniform-magnitude"
    for row in rows:
        on_front = ("accuracy-driven", "astar-heads", "ae-bert", "uniform-magnitude", "drop-layers")
        row["front"] = [1, 8] if row["method"] in on_front else []
    dense = {
        **rows[0],
        **{"method": "dense", "drop_points": 0.0, "drop_low": 0.0, "drop_high": 0.0, "macs_share": 1.0},
        "speeds": _speeds((1.0, 1.0), int8),
        "front": [],
    }
    for key in ("beaten_by", "steps", "cells", "seeds"):
        del dense[key]
    return {
        "version": "0.1.0",
        "created": "2026-11-25 01:00",
        "command": "leanformer league minilm --data mrpc --pruning-ratio 0.5 --seeds 0 --out league",
        "machine": {"cpu": "Test CPU 9000", "threads": 2, "versions": {"python": "3.11", "torch": "2.13.0"}},
        "model": "/models/minilm",
        "task": {"name": "mrpc", "kind": "classification", "labels": ["no", "yes"], "pair": True},
        "metric": "accuracy",
        "n": 408,
        "quick": False,
        "pruning_ratio": 0.5,
        "seeds": list(seeds),
        "methods": [*(figures[0] for figures in FIGURES), "l0-heads"],
        "batches": [1, 8],
        "precisions": ["fp32", "int8"] if int8 else ["fp32"],
        "dense": dense,
        "rows": rows,
        "untimed": [{"method": "astar-heads", "runtime": "openvino", "precision": "fp32"}],
        "refused": [{"method": "l0-heads", "seed": 0, "sentence": "the budget is out of reach: give more"}],
    }


def _row(figures: tuple[Any, ...], test: bool, int8: bool, seeds: tuple[int, ...]) -> dict[str, Any]:
    name, lost, reached, share, minutes, steps, ratios = figures
    score = 0.853 - lost / 100
    drop = {"drop_points": lost, "drop_low": lost - 1.6, "drop_high": lost + 1.7}
    own = name == "accuracy-driven"
    return {
        "method": name,
        "paper": PAPER,
        "year": 2022,
        "trains": "distilled" if steps else "nothing",
        "granularity": "unit",
        "asked_ratio": None if own else 0.5,
        "asked_drop_points": 1.0 if own else None,
        "seeds": list(seeds),
        "cells": [f"cells/{name}-{'' if own else '0.5-'}{seed}" for seed in seeds],
        "score": score,
        "low": score - 0.034,
        "high": score + 0.032,
        **drop,
        "test": {"n": 1725, "score": score - 0.01, **drop} if test else None,
        "reached": reached,
        "encoder_parameters": 10_646_784 * share,
        "parameters": 12_000_000 + 10_646_784 * share,
        "macs_share": share,
        "minutes": minutes,
        "steps": steps,
        "speeds": _speeds(ratios, int8),
        "front": [],
        "beaten_by": None,
    }


def _speeds(ratios: tuple[float, float], int8: bool) -> dict[str, Any]:
    return {
        str(batch): {
            precision: {
                "ratio": ratio * (1.0 if precision == "fp32" else 0.97),
                "low": ratio * 0.96,
                "high": ratio * 1.05,
                "runtime": "openvino" if precision == "fp32" else "onnxruntime",
                "dense_runtime": "openvino" if precision == "fp32" else "onnxruntime",
                "latency_ms": batch * 9.5 / ratio,
                "score": 0.85,
            }
            for precision in (("fp32", "int8") if int8 else ("fp32",))
        }
        for batch, ratio in zip((1, 8), ratios, strict=True)
    }
