"""The tables of the docs: as the JSON has it, and none is stale."""

from __future__ import annotations

import json

import pytest

import league_tables
import speed_tables
import tables
from league import kept
from league_example import example_league


@pytest.mark.parametrize("path", tables.DOCUMENTS, ids=lambda path: path.name)
def test_no_document_is_stale(path):
    text = path.read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert tables.filled(text) == text


def test_a_table_is_filled_between_its_markers(monkeypatch):
    monkeypatch.setitem(tables.TABLES, "clock", lambda: "| new |")
    text = "before\n<!-- table: clock -->\n| old |\n<!-- end -->\nafter\n"
    assert tables.filled(text) == text.replace("old", "new")


def test_what_is_not_measured_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(speed_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(league_tables, "FOLDER", tmp_path)
    made = [*speed_tables.TABLES.values(), *league_tables.TABLES.values()]
    assert {make() for make in made} == {speed_tables.MISSING}


@pytest.mark.parametrize("test", [True, False])
def test_a_league_has_a_row_a_method_and_its_sentences(monkeypatch, tmp_path, test):
    facts = kept(example_league(test=test), "models/minilm")
    facts |= {"command": "it", "commit": "abc", "seed": 0, "machine": {"cpu": "a cpu", "threads": 2}}
    (tmp_path / "minilm-mrpc-0.5.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(league_tables, "FOLDER", tmp_path)
    made = league_tables.league_table()
    lines = [line for line in made.splitlines() if line.startswith("| ")]
    assert len(lines) == 3 + len(facts["rows"])
    assert len({line.count("|") for line in lines}) == 1
    assert "| ae-bert-random (worse than uniform-magnitude) |" in made
    assert "ae-bert-random does worse than the simpler uniform-magnitude" in made
    assert "Refused: l0-heads: the budget is out of reach" in made
    assert "minilm on mrpc, pruning ratio 0.5, seeds 0, seed 0, `it`, commit abc, a cpu, 2 threads." in made


def test_kills_are_counted_by_stage(monkeypatch, tmp_path):
    kills = [
        {"stage": "after data", "fine": True},
        {"stage": "after data", "fine": False},
        {"stage": "after dense teacher", "fine": True},
    ]
    machine = {"cpu": "a cpu", "threads": 2}
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
    assert made.endswith("a whole run takes 60 s, seed 0, `it`, commit abc, a cpu, 2 threads.")
