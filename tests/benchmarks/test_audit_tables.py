"""The tables of docs/audit.md, from audits that are made up."""

from __future__ import annotations

import json

import pytest

import audit_tables
from flow_example import made
from leanformer.audit.flow_facts import flow_facts

ENDS = {"low": -0.1, "high": 0.1}
DETECTED = {
    "used": 1234,
    "sentences": 50_000,
    "occupations": [{"name": "guard", "bias": 0.12, **ENDS}, {"name": "nurse", "bias": -0.25, **ENDS}],
    "heads": [],
    "degree": {"occupation to gender word": 0.2},
    "noise": {"occupation to gender word": 0.05},
}


def figure(metric, subject, low):
    """A figure of two models, beyond chance where `low` is above 0."""
    ends = [
        {"value": value, "low": value - 0.01, "high": value + 0.01, "p": None, "n": 210, "note": ""}
        for value in (0.03, 0.05)
    ]
    change = {"value": 0.02, "low": low, "high": 0.03, "beyond": low > 0}
    return {
        "metric": metric,
        "subject": subject,
        "unit": "texts",
        "ideal": 0.0,
        "values": ends,
        "change": change,
    }


@pytest.fixture
def results(monkeypatch, tmp_path):
    """Audits of one model and of two."""
    common = {
        "command": "it",
        "commit": "abc",
        "seed": 0,
        "machine": {"cpu": "a cpu", "flags": ["avx2"], "threads": 1},
    }
    alone = common | {"name": "small", "models": ["small"], "figures": [], "between": [], "unmeasured": []}
    alone |= {"detector": [DETECTED], "flow": [flow_facts(made())]}
    changed = [figure("swap gap", "size", 0.01), figure("WEAT", "names", -0.01)]
    both = alone | {"name": "small, int8", "models": ["a", "b"], "figures": changed}
    both |= {"detector": [None, None], "flow": [None, None]}
    for name, facts in (("small", alone), ("small-int8", both)):
        (tmp_path / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(audit_tables, "FOLDER", tmp_path)
    return alone


def test_a_scan_has_a_row_a_model(results):
    lines = audit_tables.scan_table().splitlines()
    assert lines[2] == "| small | 1,234 in 50,000 | 2 | 0.200 (0.050) | guard 0.120 | nurse −0.250 |"
    assert lines[-1].startswith("small, seed 0, `it`, commit abc, a cpu (avx2), 1 threads")


def test_findings_stand_with_their_figures(results):
    lines = audit_tables.findings_table().splitlines()
    assert lines[0] == "| finding | small (100 sentences, 20 occupations) |"
    assert len(lines) == 6
    assert all("**found**<br>" in line for line in lines[2:])
    assert "step from the values to their averages by attention −0.15" in lines[5]


def test_matrices_stand_with_what_they_add(results):
    lines = audit_tables.matrices_table().splitlines()
    assert lines[2].startswith("| W_q | identity | attention | 0.")
    assert len(lines) == 2 + 2 * 6


def test_what_compression_changed_is_what_is_beyond_chance(results):
    lines = audit_tables.compared_table().splitlines()
    assert lines[2].startswith("| small, int8 | **1 of 2** |")
    assert lines[3] == "|  | swap gap: size | 0.0300 | 0.0500 | +0.0200 (0.0100 to 0.0300) |"


def test_the_picture_is_of_a_model_alone(results):
    ((path, drawn),) = audit_tables.pictures().items()
    assert path.name == "bias-flow-small.svg"
    assert drawn.startswith("<svg")
