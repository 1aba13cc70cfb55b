"""The tables of docs/debias.md, from benchmarks/results/debias."""

from __future__ import annotations

from collections.abc import Callable

from markdown_tables import MISSING, RESULTS, Facts, interval, read, source, table

SHOWN = ("loss of masked words", "words of a group apart", "LPBS", "CrowS-Pairs", "SEAT, sentences")
NAMES = {"unit": "heads and neurons", "block": "blocks of 32x32"}


def movement_table() -> str:
    """Every level of debias-movement: SEAT against points of STS-B."""
    found = _cells("movement-*")
    if not found:
        return MISSING
    rows = [row for facts in found for row in _rows(facts)]
    header = ["closed, states", "level", "SEAT 6", "SEAT 7", "SEAT 8", "mean size (95%)", "less", "own tests"]
    header += ["points lost on train rows", "points lost (95%)"]
    return table(header, rows) + "".join(
        source(facts, f"{facts['model']} on {facts['task']['name']}, n = {facts['n']:,} validation pairs")
        for facts in found
    )


def _rows(facts: Facts) -> list[list[str]]:
    what = f"{NAMES.get(facts['granularity'], facts['granularity'])}, {facts['options']['layers']}"
    what += ", alike" if facts["options"].get("scale") == "alike" else ""
    dense = [what, "dense", *_effects(facts["dense"]), "", f"{facts['dense']['own']['value']:.2f}", "", ""]
    return [dense, *(_level(facts, number, what) for number in range(len(facts["levels"])))]


def _level(facts: Facts, number: int, what: str) -> list[str]:
    level = facts["levels"][number]
    mark = "**" if number == facts["chosen"] else ""
    lost = level["score"]
    return [
        what,
        f"{mark}{level['level']:g}{mark}",
        *_effects(level),
        f"{100 * level['public_change']['share']:.0f}%",
        f"{level['own']['value']:.2f}",
        f"{level['judged']['drop_points']:.2f}",
        f"{lost['drop_points']:.2f} ({interval(lost['drop_interval'], '').strip()})",
    ]


def _effects(facts: Facts) -> list[str]:
    public = facts["public"]
    tests = [f"{one['value']:.2f}" for one in public["tests"]]
    return [*tests, f"{public['value']:.2f} ({public['low']:.2f} to {public['high']:.2f})"]


def distillation_table() -> str:
    """What fair-distillation changed: teacher, control and student."""
    facts = read(RESULTS / "debias" / "distillation.json")
    if facts is None:
        return MISSING
    against = {(one["metric"], one["subject"]): one for one in facts["against_control"]["figures"]}
    rows = []
    for figure in facts["bias"]["figures"]:
        if figure["metric"] not in SHOWN:
            continue
        other = against[figure["metric"], figure["subject"]]
        change = other["change"]
        rows.append(
            [
                f"{figure['metric']}: {figure['subject']}",
                f"{figure['ideal']:g}",
                f"{figure['values'][0]['value']:.3f}",
                *(f"{one['value']:.3f}" for one in other["values"]),
                f"{change['value']:+.3f} ({change['low']:.3f} to {change['high']:.3f})",
            ]
        )
    header = ["figure", "ideal", "teacher", "student without groups", "student", "what the groups did (95%)"]
    texts = f"{facts['texts']['read']:,} texts, {facts['texts']['with_groups']:,} with a word of a group"
    return table(header, rows) + source(facts, facts["model"], texts)


def _cells(pattern: str) -> list[Facts]:
    paths = sorted((RESULTS / "debias").glob(f"{pattern}.json"))
    return [facts for path in paths if (facts := read(path))]


TABLES: dict[str, Callable[[], str]] = {
    "debias_movement": movement_table,
    "fair_distillation": distillation_table,
}
