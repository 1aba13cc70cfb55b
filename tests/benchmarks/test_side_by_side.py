"""Models that are timed in one run: each under its own name, over the first one in its runtime."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import side_by_side


def test_rows_are_over_the_first_model_and_names_are_those_given(monkeypatch, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "model").mkdir(parents=True)

    def bench(command, **_):
        folders = [Path(part) for part in command if Path(part).is_dir()]
        assert [folder.resolve() for folder in folders] == [
            tmp_path / "a" / "model",
            tmp_path / "b" / "model",
        ]
        usual = dict.fromkeys(side_by_side.ROW_KEYS, 0) | {
            "runtime": "openvino",
            "precision": "int8",
            "batch": 8,
        }
        rows = [
            {**usual, "model": folder.name, "rounds_ms": [time, 2 * time, 3 * time]}
            for folder, time in zip(folders, (4.0, 2.0), strict=True)
        ]
        return SimpleNamespace(stdout=json.dumps({"rows": rows}))

    monkeypatch.setattr(side_by_side.subprocess, "run", bench)
    models = {"dense": tmp_path / "a" / "model", "both": tmp_path / "b" / "model"}
    dense, both = side_by_side.timed(models, [], 1.0)
    assert (dense["model"], both["model"]) == ("dense", "both")
    assert dense["ratio"] == 1.0
    assert both["ratio"] == both["ratio_low"] == pytest.approx(2.0)
