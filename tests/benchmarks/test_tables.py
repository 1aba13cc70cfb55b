"""The tables of the docs: as the JSON has it, and none is stale."""

from __future__ import annotations

import json

import pytest

import speed_tables
import tables


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
    assert {make() for make in speed_tables.TABLES.values()} == {speed_tables.MISSING}


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
