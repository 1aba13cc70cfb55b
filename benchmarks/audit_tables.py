"""The tables of docs/audit.md: what the audits of benchmarks/audit.py came to."""

from __future__ import annotations

from pathlib import Path

from leanformer.report import numbers
from leanformer.report.bias import bias_rows
from leanformer.report.flow_words import finding_rows, matrix_rows
from leanformer.report.pictures.flow import flow_file
from markdown_tables import MISSING, RESULTS, ROOT, Facts, read, source, table

FOLDER = RESULTS / "audit"
DETECTED = "occupation to gender word"


def pictures() -> dict[Path, str]:
    """Return the pictures of the flow of the models that were audited alone, by where they belong."""
    alone = [facts for facts in _results(1) if facts["flow"][0]]
    return {ROOT / "docs" / f"bias-flow-{facts['name']}.svg": flow_file(facts["flow"][0]) for facts in alone}


def _results(models: int) -> list[Facts]:
    """Read the audits of one model, or of two."""
    found = [facts for path in sorted(FOLDER.glob("*.json")) if (facts := read(path)) is not None]
    return [facts for facts in found if len(facts["models"]) == models]


def _sources(results: list[Facts]) -> str:
    return "".join(source(facts, facts["name"]) for facts in results)


def scan_table() -> str:
    """Show what the detector found of each model."""
    results = [facts for facts in _results(1) if facts["detector"][0]]
    if not results:
        return MISSING
    rows = []
    for facts in results:
        one = facts["detector"][0]
        ends = [
            f"{end['name']} {_signed(end['bias'])}" for end in (one["occupations"][0], one["occupations"][-1])
        ]
        seen = f"{numbers.count(one['used'])} in {numbers.count(one['sentences'])}"
        degrees = f"{one['degree'][DETECTED]:.3f} ({one['noise'][DETECTED]:.3f})"
        rows.append([facts["name"], seen, str(len(one["occupations"])), degrees, *ends])
    header = ["model", "seen in sentences", "occupations", "degree (its noise)", "most male", "most female"]
    return table(header, rows) + _sources(results)


def findings_table() -> str:
    """Show which of the paper's findings each model shows."""
    results = [facts for facts in _results(1) if facts["flow"][0]]
    if not results:
        return MISSING
    by_model = [finding_rows(facts["flow"][0]) for facts in results]
    rows = [
        [ones[0].claim, *(f"**{one.verdict}**<br>{'<br>'.join(one.figures)}" for one in ones)]
        for ones in zip(*by_model, strict=True)
    ]
    used = [
        f"{facts['name']} ({numbers.count(facts['flow'][0]['used'])} sentences, {facts['flow'][0]['occupations']} "
        "occupations)"
        for facts in results
    ]
    return table(["finding", *used], rows)


def matrices_table() -> str:
    """Show what each matrix adds behind itself."""
    results = [facts for facts in _results(1) if facts["flow"][0]]
    if not results:
        return MISSING
    by_model = [{(row.name, row.by): row for row in matrix_rows(facts["flow"][0])} for facts in results]
    rows = [
        [name, by, row.behind, *(one[name, by].there for one in by_model)]
        for (name, by), row in by_model[0].items()
    ]
    return table(["matrix", "in its place", "seen at", *(facts["name"] for facts in results)], rows)


def compared_table() -> str:
    """Show what compression changed beyond chance."""
    results = _results(2)
    if not results:
        return MISSING
    rows = []
    for facts in results:
        compared = [row for row in bias_rows(facts) if row.change]
        beyond = [row for row in compared if row.beyond]
        rows.append([facts["name"], f"**{len(beyond)} of {len(compared)}**", "", "", ""])
        rows += [
            [
                "",
                f"{row.metric}: {row.subject}",
                *(value for value, _ in row.values),
                f"{row.change} ({row.change_interval})",
            ]
            for row in beyond
        ]
    header = ["compressed", "figures beyond chance", "dense", "compressed", "difference"]
    return table(header, rows) + _sources(results)


def _signed(value: float) -> str:
    return numbers.signed(value, 3)


TABLES = {
    "audit_scan": scan_table,
    "audit_findings": findings_table,
    "audit_matrices": matrices_table,
    "audit_compared": compared_table,
}
