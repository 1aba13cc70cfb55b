"""What the tables of the docs share: where the figures lie, how a table is written, what stands under it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MISSING = "Not measured yet."
Facts = dict[str, Any]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def read(path: Path) -> Facts | None:
    """Return a result, or None where it is not measured yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def interval(bounds: list[float], unit: str) -> str:
    """Return an interval in words."""
    return f"{bounds[0]:.1f} to {bounds[1]:.1f} {unit}"


def source(facts: Facts, *about: str) -> str:
    """Return the line under a table: what was measured, and how to repeat it."""
    parts = (*about, f"seed {facts['seed']}", f"`{facts['command']}`", f"commit {facts['commit']}")
    return f"\n\n{', '.join(parts)}, {processor(facts)}, {facts['machine']['threads']} threads."


def processor(facts: Facts) -> str:
    """Return a result's processor and what it has for small numbers: two of one name may differ."""
    machine = facts["machine"]
    gpu = f" and {machine['gpu']}" if machine.get("gpu") else ""
    return f"{machine['cpu']} ({', '.join(machine['flags'])}){gpu}"
