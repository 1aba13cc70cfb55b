"""The tables of the docs: as the JSON has it, and none is stale."""

from __future__ import annotations

import json

import numpy as np
import pytest

import audit_tables
import base_size_tables
import debias_tables
import dynamic_picture
import dynamic_tables
import league_tables
import pruning_tables
import speed_tables
import tables
from debias import kept as kept_of_debias
from debias_example import distillation_record, movement_record
from league import kept
from league_example import example_league

MACHINE = {"cpu": "a cpu", "flags": ["avx2"], "threads": 2}


def test_no_document_and_no_picture_is_stale():
    made = tables.made()
    assert all("<!-- table: " in made[path] for path in tables.DOCUMENTS)
    assert any(path.suffix == ".svg" for path in made)
    assert [path.name for path, new in made.items() if path.read_text(encoding="utf-8") != new] == []


def test_a_table_is_filled_between_its_markers(monkeypatch):
    monkeypatch.setitem(tables.TABLES, "clock", lambda: "| new |")
    text = "before\n<!-- table: clock -->\n| old |\n<!-- end -->\nafter\n"
    assert tables.filled(text) == text.replace("old", "new")


def test_what_is_not_measured_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(speed_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(league_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(dynamic_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(dynamic_picture, "RESULTS", tmp_path)
    monkeypatch.setattr(debias_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(pruning_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(pruning_tables, "FOLDER", tmp_path)
    monkeypatch.setattr(audit_tables, "FOLDER", tmp_path)
    monkeypatch.setattr(base_size_tables, "RESULTS", tmp_path)
    modules = (speed_tables, league_tables, dynamic_tables, pruning_tables, audit_tables, debias_tables)
    modules += (base_size_tables,)
    made = [make for module in modules for make in module.TABLES.values()]
    assert {make() for make in made} == {speed_tables.MISSING}
    assert dynamic_picture.pictures() == {} == audit_tables.pictures()


@pytest.mark.parametrize("test", [True, False])
def test_a_league_has_a_row_a_method_and_its_sentences(monkeypatch, tmp_path, test):
    facts = kept(example_league(test=test), "models/minilm")
    facts |= {
        "command": "it",
        "commit": "abc",
        "seed": 0,
        "machine": MACHINE,
    }
    (tmp_path / "league").mkdir()
    (tmp_path / "league" / "minilm-mrpc-0.5.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(league_tables, "RESULTS", tmp_path)
    made = league_tables.league_table()
    lines = [line for line in made.splitlines() if line.startswith("| ")]
    assert len(lines) == 3 + len(facts["rows"])
    assert len({line.count("|") for line in lines}) == 1
    assert "| ae-bert-random (worse than uniform-magnitude) |" in made
    assert "ae-bert-random does worse than the simpler uniform-magnitude" in made
    assert "Refused: l0-heads: the budget is out of reach" in made
    assert (
        "minilm on mrpc, pruning ratio 0.5, seeds 0, seed 0, `it`, commit abc, a cpu (avx2), 2 threads."
        in made
    )


def test_kills_are_counted_by_stage(monkeypatch, tmp_path):
    kills = [
        {"stage": "after data", "fine": True},
        {"stage": "after data", "fine": False},
        {"stage": "after dense teacher", "fine": True},
    ]
    machine = MACHINE
    facts = {
        "kills": kills,
        "whole_seconds": 60.4,
        "seed": 0,
        "command": "it",
        "commit": "abc",
        "machine": machine,
    }
    (tmp_path / "kills.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(speed_tables, "RESULTS", tmp_path)
    made = speed_tables.kills_table()
    assert "| after data | 2 | 1 |" in made
    assert "| all | 3 | 2 |" in made
    assert made.endswith("a whole run takes 60 s, seed 0, `it`, commit abc, a cpu (avx2), 2 threads.")


def a_cell(**more):
    score = {"n": 408, "dense": {"score": 0.8}, "compressed": {"score": 0.776}, "drop_points": 2.4}
    facts = {**score, "drop_interval": [0.5, 4.0], "test": {"n": 1725, "dense": 0.81, "compressed": 0.79}}
    facts |= {"command": "it", "commit": "abc", "seed": 0, "machine": MACHINE}
    return {**facts, "seconds": 90.0, "pruning_ratio_reached": 0.7, "model": "minilm", "task": "mrpc", **more}


def test_each_system_has_its_row(monkeypatch, tmp_path):
    monkeypatch.setattr(pruning_tables, "FOLDER", tmp_path)
    for cell, granularity in (("grain", "dimension"), ("movement", "unit")):
        facts = a_cell(cell=cell, method=cell, granularity=granularity)
        (tmp_path / f"{cell}.json").write_text(json.dumps(facts), encoding="utf-8")
    rows = pruning_tables.systems_table().splitlines()[2:4]
    assert rows[0] == (
        "| grain, dimension | minilm, mrpc | 70% | 80.0 | 77.6 (n = 408) | 2.4 (0.5 to 4.0) | "
        "81.0 → 79.0 (n = 1,725) | 97.0% | 1.5 min |"
    )
    assert rows[1].startswith("| movement | ")


def test_two_rankings_of_heads_are_compared(monkeypatch, tmp_path):
    monkeypatch.setattr(pruning_tables, "FOLDER", tmp_path)
    scores = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]
    ladder = [{"removed": count, "score": 0.8 - count / 100} for count in range(9)]
    heads = {"scores": scores, "ladder": ladder, "removed": [], "judging_rows": 366}
    (tmp_path / "taylor-heads.json").write_text(json.dumps(a_cell(heads=heads)), encoding="utf-8")
    assert "not measured yet" in pruning_tables.heads_table()
    gates = {"scores": [[0.0, 0.0, 0.5, 0.6], [0.7, 1.0, 0.9, 0.8]], "removed": [[0, 0], [0, 1], [1, 3]]}
    (tmp_path / "l0-heads.json").write_text(json.dumps(a_cell(heads=gates)), encoding="utf-8")
    text = pruning_tables.heads_table()
    assert "rank correlation of 0.90 (Spearman, 8 heads)" in text
    assert "of the 3 heads that the gates closed, 2 are among the 3 least important" in text
    assert "| 50% | 4 | 76.0 |" in text


def test_equal_values_share_their_rank():
    assert pruning_tables.ranks(np.array([3.0, 1.0, 1.0, 2.0])).tolist() == [4.0, 1.5, 1.5, 3.0]
    assert pruning_tables.rank_correlation(np.array([1, 2, 3]), np.array([9, 4, 1])) == pytest.approx(-1)


def test_a_debiasing_has_a_row_a_level_and_a_distillation_one_a_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(debias_tables, "RESULTS", tmp_path)
    (tmp_path / "debias").mkdir()
    facts = {"command": "it", "commit": "abc", "seed": 0, "machine": MACHINE}
    for name, record in (("movement-all", movement_record()), ("distillation", distillation_record())):
        record["options"] = {"layers": "all"}
        text = json.dumps({**facts, **kept_of_debias(record)})
        (tmp_path / "debias" / f"{name}.json").write_text(text, encoding="utf-8")
    lines = debias_tables.movement_table().splitlines()
    assert [line.split(" | ")[1] for line in lines[2:6]] == ["dense", "0.05", "**0.1**", "0.2"]
    assert (
        "| **0.1** | 0.66 | 0.67 | 0.68 | 0.60 (0.40 to 0.80) | 34% | 0.70 | 1.00 | 0.90 (0.5 to 1.3) |"
        in lines[4]
    )
    assert len({line.count("|") for line in lines[:6]}) == 1
    made = debias_tables.distillation_table()
    assert (
        "| words of a group apart: held-out texts | 0 | 2.000 | 2.000 | 0.700 | -1.300 (-1.350 to -1.250) |"
        in made
    )
    assert made.endswith(
        "3,000 texts, 700 with a word of a group, seed 0, `it`, commit abc, a cpu (avx2), 2 threads."
    )


def test_the_curves_of_dynamic_methods_are_one_picture(monkeypatch, tmp_path):
    names = {"ae-bert": "power-bert", "uniform-magnitude": "fastbert"}
    (tmp_path / "dynamic").mkdir()
    for ratio in (0.3, 0.7):
        facts = kept(example_league(), "models/minilm") | {"pruning_ratio": ratio}
        facts["rows"] = [{**row, "method": names.get(row["method"], row["method"])} for row in facts["rows"]]
        path = tmp_path / "dynamic" / f"minilm-mrpc-{ratio:g}.json"
        path.write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(dynamic_picture, "RESULTS", tmp_path)
    ((path, drawn),) = dynamic_picture.pictures().items()
    assert path.name == "dynamic-curves.svg"
    assert drawn.count("power-bert at 0.3:") == drawn.count("fastbert at 0.7:") == len(facts["batches"])
    assert "power-bert: tokens" in drawn
    assert "tr-bert" not in drawn


def test_a_dial_has_a_line_a_setting_the_safest_first(monkeypatch, tmp_path):
    speeds = {"ratio": 2.0, "ratio_low": 1.9, "ratio_high": 2.1, "n": 872}
    rows = [
        {
            "runtime": "openvino",
            "batch": size,
            "setting": setting,
            "layers": layers,
            "accuracy": right,
            **speeds,
        }
        for setting, layers, right in ((0.5, 3.0, 0.85), (0.0, 6.0, 0.86))
        for size in (1, 8)
    ]
    facts = {"n": 872, "dense": {"score": 0.86}, "name": "sst-2", "rows": rows}
    facts |= {"command": "it", "commit": "abc", "seed": 0, "machine": MACHINE}
    (tmp_path / "dial").mkdir()
    (tmp_path / "dial" / "sst-2-fastbert.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(dynamic_tables, "RESULTS", tmp_path)
    lines = dynamic_tables.dial_tables().splitlines()
    assert lines[2].startswith("| 0 | 6.0 | 86.0 | 0.0 | 2.00x (1.90 to 2.10) |")
    assert lines[3].startswith("| 0.5 | 3.0 | 85.0 | 1.0 |")


def test_choosing_has_a_price_a_place(monkeypatch, tmp_path):
    rows = [
        {
            "runtime": "openvino",
            "precision": "int8",
            "batch": 8,
            "places": places,
            "latency_ms": 4 + places / 4,
        }
        for places in (0, 2, 6)
    ]
    facts = {"task": "mrpc", "rows": [*rows, {**rows[0], "precision": "fp32"}], "seed": 0, "machine": MACHINE}
    facts |= {"command": "it", "commit": "abc"}
    (tmp_path / "leaving_cost.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(dynamic_tables, "RESULTS", tmp_path)
    lines = dynamic_tables.leaving_table().splitlines()
    assert lines[0] == "| runtime | batch | 0 places | 2 places | 6 places | a place |"
    assert lines[2] == "| OpenVINO int8 | 8 | 4.00 ms | 4.50 ms | 5.50 ms | 0.25 ms |"
    assert "fp32" not in "".join(lines)


def speed_up(ratio):
    return {"ratio": ratio, "ratio_low": ratio - 0.1, "ratio_high": ratio + 0.1}


def test_merged_tokens_have_a_line_a_ratio(monkeypatch, tmp_path):
    run = {"n": 1500, "dense": 0.867, "compressed": 0.86, "drop_interval": [0.2, 1.2]}
    row = {"runtime": "onnxruntime", "precision": "fp32", "batch": 1}
    bench = [{**row, "model": "dense", **speed_up(1.0)}, {**row, "model": "0.2", **speed_up(1.2)}]
    bench.append({**bench[0], "runtime": "openvino"})  # merged tokens do not run there
    facts = {"model": "MiniLM", "runs": {"0.2": run}, "bench": bench, "machine": MACHINE}
    facts |= {"command": "it", "commit": "abc", "seed": 0}
    (tmp_path / "token_merge.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(dynamic_tables, "RESULTS", tmp_path)
    lines = dynamic_tables.merge_table().splitlines()
    assert lines[2] == "| dense | 86.7 |  | 1.00x (0.90 to 1.10) | 1.00x (0.90 to 1.10) |"
    assert lines[3] == "| 0.2 | 86.0 | 0.7 (0.2 to 1.2) | 1.20x (1.10 to 1.30) |  |"


def test_long_texts_are_compared_within_a_runtime(monkeypatch, tmp_path):
    run = {"n": 1000, "dense": 0.9, "compressed": 0.89, "drop_points": 1.0, "drop_interval": [0.0, 2.0]}
    bench = [
        {"model": name, "runtime": "openvino", "precision": "int8", "batch": 8, **speed_up(ratio)}
        for name, ratio in (("dense", 1.0), ("tokens", 3.0), ("units", 2.0), ("both", 5.0))
    ]
    facts = {
        "runs": {"tokens": run, "units": run, "both": {**run, "dense": 0.89, "compressed": 0.88}},
        "names": ["dense", "tokens", "units", "both"],
        "bench": bench,
        "cut": {"192": 0.86},
        "rows": {"train": 2400},
        "shortest": 256,
        "max_tokens": 384,
        **{"command": "it", "commit": "abc", "seed": 0, "machine": MACHINE},
    }
    (tmp_path / "long_text.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(dynamic_tables, "RESULTS", tmp_path)
    made = dynamic_tables.long_text_table()
    assert "| dense | 90.0 |  | 1.00x (0.90 to 1.10) |" in made
    assert "| fewer tokens | 89.0 | 1.0 (0.0 to 2.0) | 3.00x (2.90 to 3.10) |" in made
    assert "| fewer units, then fewer tokens | 88.0 | 2.0 | 5.00x (4.90 to 5.10) |" in made
    assert "| dense, of 192 tokens | 86.0 | 4.0 |  |" in made
