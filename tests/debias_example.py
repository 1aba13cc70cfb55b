"""Records of a debiasing, as debias.json has them, for tests of what is shown."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

MACHINE = {"cpu": "a cpu", "threads": 2, "flags": ["avx2"], "versions": {"torch": "2.13"}}
STAGES = [{"name": "sentences", "seconds": 3.0}]


def _effect(value: float, name: str) -> dict[str, Any]:
    tests = [{"subject": f"sent-weat{number}", "value": value + number / 100} for number in (6, 7, 8)]
    return {"subject": name, "value": value, "low": value - 0.2, "high": value + 0.2, "tests": tests}


def _change(dense: float, value: float) -> dict[str, Any]:
    return {"value": value - dense, "low": -0.5, "high": 0.1, "beyond": False, "share": 1 - value / dense}


def _level(level: float, effect: float, lost: float) -> dict[str, Any]:
    score = {"score": 0.86 - lost / 100, "low": 0.85, "high": 0.87, "n": 1500}
    return {
        "level": level,
        "closed": {
            "share": level,
            "kinds": {"head": {"closed": 7, "of": 72}, "neuron": {"closed": 1100, "of": 9216}},
        },
        "judged": {**score, "drop_points": lost + 0.1, "drop_interval": [lost - 0.3, lost + 0.5]},
        "score": {**score, "drop_points": lost, "drop_interval": [lost - 0.4, lost + 0.4]},
        "own": _effect(effect + 0.1, "own word tests"),
        "own_change": _change(1.1, effect + 0.1),
        "public": _effect(effect, "SEAT 6, 7, 8"),
        "public_change": _change(0.91, effect),
        "terms": {"debias": 10.0, "retain": 2.0},
        "training": {
            "seconds": 60.0,
            "steps": 60,
            "curve": [{"step": 1, "loss": 9.0}, {"step": 60, "loss": 4.0}],
        },
    }


def _figure(metric: str, first: float, second: float) -> dict[str, Any]:
    values = [
        {"value": value, "low": value - 0.1, "high": value + 0.1, "p": None, "n": 200, "note": ""}
        for value in (first, second)
    ]
    change = {
        "value": second - first,
        "low": second - first - 0.05,
        "high": second - first + 0.05,
        "beyond": True,
    }
    return {
        "metric": metric,
        "subject": "held-out texts",
        "unit": "texts",
        "ideal": 0.0,
        "values": values,
        "change": change,
    }


def _pair(first: str, second: str) -> dict[str, Any]:
    figures = [_figure("loss of masked words", 2.5, 3.1), _figure("words of a group apart", 2.0, 0.7)]
    missing = [
        {"metric": "CEAT, contexts", "reason": "it takes words in real sentences", "models": [first, second]}
    ]
    return {"models": [first, second], "figures": figures, "between": [], "unmeasured": missing}


_SHARED = {
    "run": "fairer",
    "version": "0.1.0",
    "created": "2026-11-27 10:00+00:00",
    "command": "leanformer debias my-model --seed 0 --out fairer",
    "model": "my-model",
    "corpus": "wiki.txt",
    "granularity": "unit",
    "options": {},
    "seed": 0,
    "max_drop_points": 1.0,
    "stages": STAGES,
    "machine": MACHINE,
    "door": "lean",
}
_LEVELS = [_level(0.05, 0.8, 0.3), _level(0.1, 0.6, 0.9), _level(0.2, 0.3, 4.0)]


def movement_record(**changes: Any) -> dict[str, Any]:
    """Return the record of a debias-movement with three levels, of which the second was chosen."""
    dense = {
        "judged": {"score": 0.83, "low": 0.8, "high": 0.85, "n": 575},
        "score": {"score": 0.86, "low": 0.85, "high": 0.87, "n": 1500},
        "own": _effect(1.1, "own word tests"),
        "public": _effect(0.91, "SEAT 6, 7, 8"),
        "terms": {"debias": 20.0, "retain": 0.0},
    }
    record = {
        **_SHARED,
        "method": "debias-movement",
        "task": {"name": "sts-b", "kind": "embedding", "pair": True},
        "metric": "spearman_cosine",
        "n": 1500,
        "judged_n": 575,
        "words": {
            "sentences": {"male": 250, "female": 250, "target": 500},
            "targets": 94,
            "targets_of_seat": ["art", "science"],
        },
        "dense": dense,
        "levels": _LEVELS,
        "chosen": 1,
        "within": True,
        "bias": _pair("dense", "debiased"),
    }
    return deepcopy({**record, **changes})


def without_public(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a run without public data."""
    for facts in (record["dense"], *record["levels"]):
        facts["public"] = None
    for level in record["levels"]:
        level["public_change"] = None
    record["words"]["targets_of_seat"] = None
    return record


def distillation_record(control: bool = True) -> dict[str, Any]:
    """Return the record of a fair-distillation."""
    training = {
        "seconds": 60.0,
        "steps": 90,
        "rows": 3000,
        "curve": [{"step": 1, "loss": 9.0}, {"step": 90, "loss": 4.0}],
    }
    record = {
        **_SHARED,
        "method": "fair-distillation",
        "student": training,
        "groups": {"words": [["he", "she"], ["man", "woman"]], "left_out": ["duchess"]},
        "texts": {"read": 3000, "with_groups": 700, "held_out": 200},
        "layers": {"teacher": 6, "student": 3},
        "bias": _pair("teacher", "student"),
        "loss_change": {"value": 0.6, "low": 0.5, "high": 0.7, "beyond": True},
    }
    if control:
        record |= {"control": training, "against_control": _pair("control", "student")}
    return deepcopy(record)
