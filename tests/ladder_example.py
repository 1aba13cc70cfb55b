"""A synthetic ladder of `--method auto`: the figures are drawn from a seeded generator."""

from __future__ import annotations

import math
import random
from typing import Any

VARIANTS = (
    ("torch", "fp32", "", 1.0),
    ("torch", "fp32-eager", "", 0.94),
    ("onnxruntime", "fp32", "", 1.45),
    ("onnxruntime", "fp32", "first-token", 1.71),
    ("openvino", "fp32", "first-token+eager-attention", 1.83),
)
FEWER_BITS = (
    ("torch", "bf16", "", 0.7),
    ("onnxruntime", "int8", "", 2.4),
    ("onnxruntime", "int8", "first-token", 2.77),
    ("openvino", "bf16", "first-token", 2.5),
    ("openvino", "int8", "first-token", 3.02),
)
# name, what it does, seconds, pruning ratio, variants, times faster, points lost at least
LADDER = (
    ("exact", "runtimes and exact forms of the dense model", 41.2, 0.0, VARIANTS, 1.0, 0.0),
    ("fewer bits", "int8 and bf16", 63.0, 0.0, FEWER_BITS, 1.0, 0.1),
    ("trained for int8", "quantisation-aware training", 212.0, 0.0, FEWER_BITS[1:3], 1.0, -0.4),
    ("repair", "pruning with closed-form repair, no training", 58.1, 0.2, FEWER_BITS[1:], 1.18, 0.5),
    ("repair", "pruning with closed-form repair, no training", 61.4, 0.4, FEWER_BITS[1:], 1.45, 2.9),
    (
        "ae-bert",
        "AE-BERT with distillation, at the speed that is needed",
        1893.0,
        0.5,
        FEWER_BITS[1:],
        1.7,
        0.3,
    ),
    ("layers", "whole layers dropped, distilled", 0.4, 0.5, (), 1.0, 0.0),
)


def example_ladder(why: str = "budget", rungs: int = 7, seed: int = 0) -> dict[str, Any]:
    """Build a climb whose chosen step is the fastest sound one of its last rung that has any."""
    draw = random.Random(seed)
    made = [_rung(draw, row) for row in LADDER[:rungs]]
    places = [(i, j) for i, rung in enumerate(made) for j in range(len(rung["steps"]))]
    step = {place: made[place[0]]["steps"][place[1]] for place in places}
    sound = [place for place in places if step[place]["sound"]]
    pareto = [
        place
        for place in places
        if not any(
            step[other]["ratio"] > step[place]["ratio"]
            and step[other]["drop_points"] <= step[place]["drop_points"]
            for other in places
        )
    ]
    chosen = max(sound, key=lambda place: step[place]["ratio"])
    needed = math.floor(1.8 * step[chosen]["ratio"]) / 2 if why == "budget" else 9.0
    for one in step.values():
        one["met"] = one["sound"] and one["ratio"] >= needed
    asked = {"knee": "no budget", "fastest": "at most 1 point lost"}
    return {
        "batch": 1,
        "metric": "accuracy",
        "n": 512,
        "max_drop_points": 1.0,
        "asked": asked.get(why, f"{needed:g} times faster"),
        "dense_score": 0.861,
        "rungs": made,
        "chosen": list(chosen),
        "pareto": [list(place) for place in pareto],
        "why": why,
    }


def _rung(draw: random.Random, row: tuple[Any, ...]) -> dict[str, Any]:
    name, words, seconds, pruned, variants, faster, least = row
    steps = []
    for runtime, precision, form, times in variants:
        ratio = times * faster * draw.uniform(0.97, 1.03) if (runtime, faster) != ("torch", 1.0) else times
        lost = round(least + (draw.uniform(0, 0.8) if precision == "int8" else 0.0), 2)
        steps.append(
            {
                "runtime": runtime,
                "precision": precision,
                "form": form,
                "latency_ms": 11.3 / ratio,
                "ratio": ratio,
                "ratio_low": ratio * 0.95,
                "ratio_high": ratio * 1.04,
                "score": 0.861 - lost / 100,
                "drop_points": lost,
                "size_mb": 90.9 * (1 - pruned / 2) / (3.6 if precision == "int8" else 1),
                "sound": lost <= 1.0,
            }
        )
    note = "" if steps else "Not climbed: the rung before met the budget."
    rung = {"name": name, "words": words, "seconds": seconds, "pruning_ratio": pruned}
    return rung | {"note": note, "steps": steps}
