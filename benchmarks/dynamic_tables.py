"""The tables of docs/dynamic.md: methods that follow the text, by ratio, and on long texts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from dynamic_picture import LOOKS, leagues, named
from league_tables import lost as lost_of
from league_tables import speed as speed_of
from leanformer.report import numbers
from leanformer.report.numbers import drop_interval as interval
from markdown_tables import MISSING, RESULTS, Facts, read, source, table
from side_by_side_tables import columns, speed, speeds

NAMES = {
    "dense": "dense",
    "tokens": "fewer tokens",
    "units": "fewer units",
    "both": "fewer units, then fewer tokens",
}


def curve_tables() -> str:
    """Show what the methods of the curves lose and gain, by ratio: a table a model and task."""
    return "\n\n".join(curve_table(list(ones)) for _, ones in groupby(leagues(), key=named)) or MISSING


def curve_table(found: list[Facts]) -> str:
    """Join the leagues of several ratios; the rows of a method stand together."""
    test, sizes = found[0]["dense"]["test"], found[0]["batches"]
    header = ["method", "asked", "reached", f"points lost, n = {numbers.count(found[0]['n'])}"]
    header += [f"points lost, {numbers.count(test['n'])} test rows"] if test else []
    header += [f"batch {size}" for size in sizes]
    rows = [
        [name, f"{facts['pruning_ratio']:g}", f"{row['reached']:.2f}", *of_dense(row, facts["dense"])]
        + [speed_of(row["speeds"][str(size)]) for size in sizes]
        for name in LOOKS
        for facts in found
        for row in facts["rows"]
        if row["method"] == name
    ]
    model, task = named(found[0])
    notes = [source(facts, f"{model} on {task}, pruning ratio {facts['pruning_ratio']:g}") for facts in found]
    return table(header, rows) + "".join(notes)


def of_dense(row: Facts, dense: Facts) -> list[str]:
    """Return the points lost with what they are of: each league has a dense model of its own."""
    pairs = [(row, dense), *([(row["test"], dense["test"])] if dense["test"] else [])]
    return [f"{lost_of(own)} of {100 * whole['score']:.1f}" for own, whole in pairs]


def long_text_table() -> str:
    """Show scores and speeds on reviews of hundreds of tokens."""
    facts = read(RESULTS / "long_text.json")
    if facts is None:
        return MISSING
    run = facts["runs"]["tokens"]
    header = [
        "model",
        f"accuracy, n = {numbers.count(run['n'])}",
        "points lost (95%)",
        *columns(facts["bench"]),
    ]
    rows = [line(name, facts) for name in facts["names"]]
    dense, blank = run["dense"], [""] * (len(header) - 3)
    rows += [
        [f"dense, of {tokens} tokens", f"{100 * found:.1f}", f"{100 * (dense - found):.1f}", *blank]
        for tokens, found in facts["cut"].items()
    ]
    about = (
        f"MiniLM, {numbers.count(facts['rows']['train'])} training reviews of {facts['shortest']} tokens and more",
        f"cut at {facts['max_tokens']}",
    )
    return table(header, rows) + source(facts, *about)


def line(name: str, facts: Facts) -> list[str]:
    """Return a model's row."""
    dense = facts["runs"]["tokens"]["dense"]
    run = facts["runs"].get(name)
    points = f"{100 * (run['compressed'] if run else dense):.1f}"
    return [NAMES[name], points, lost(run, dense), *speeds(name, facts["bench"])]


def lost(run: Facts | None, dense: float) -> str:
    """Return the points lost; the interval where the run itself started from the dense model."""
    if run is None:
        return ""
    points = f"{100 * (dense - run['compressed']):.1f}"
    if run["dense"] != dense:
        return points
    return f"{points} ({interval(run['drop_interval'])})"


def merge_table() -> str:
    """Show scores and speeds of a model of embeddings with merged tokens, by ratio."""
    facts = read(RESULTS / "token_merge.json")
    if facts is None:
        return MISSING
    runs, bench = facts["runs"], facts["bench"]
    dense = next(iter(runs.values()))
    header = [
        "pruning ratio",
        f"Spearman, n = {numbers.count(dense['n'])} pairs",
        "points lost (95%)",
        *columns(bench),
    ]
    rows = [["dense", f"{100 * dense['dense']:.1f}", "", *speeds("dense", bench)]]
    rows += [
        [name, f"{100 * run['compressed']:.1f}", lost(run, run["dense"]), *speeds(name, bench)]
        for name, run in runs.items()
    ]
    return table(header, rows) + source(facts, f"{facts['model']} on sts-b")


def dial_tables() -> str:
    """Show score and speed at each setting of a dial, a table a task and method."""
    found = [facts for path in sorted((RESULTS / "dial").glob("*.json")) if (facts := read(path)) is not None]
    return "\n\n".join(map(dial_table, found)) or MISSING


def dial_table(facts: Facts) -> str:
    """Return the table of one dial."""
    rows = {(row["setting"], row["runtime"], row["batch"]): row for row in facts["rows"]}
    shown = sorted({(runtime, batch) for _, runtime, batch in rows})
    header = ["dial", "layers used", f"accuracy, n = {numbers.count(facts['n'])}", "points lost"]
    header += [f"{numbers.runtime_name(runtime)}, batch {batch}" for runtime, batch in shown]
    lines = []
    for setting in sorted(
        {setting for setting, _, _ in rows}, key=lambda one: -rows[one, *shown[0]]["layers"]
    ):
        own = [rows[setting, *column] for column in shown]
        lost = 100 * (facts["dense"]["score"] - own[0]["accuracy"])
        score = f"{100 * own[0]['accuracy']:.1f}"
        lines.append([f"{setting:g}", f"{own[0]['layers']:.1f}", score, f"{lost:.1f}", *map(speed, own)])
    return table(header, lines) + source(facts, facts["name"])


def leaving_table() -> str:
    """Show what choosing tokens costs, a place."""
    facts = read(RESULTS / "leaving_cost.json")
    if facts is None:
        return MISSING
    times = {
        (row["runtime"], row["precision"], row["batch"], row["places"]): row["latency_ms"]
        for row in facts["rows"]
    }
    served_in = sorted({key[:3] for key in times})
    places = sorted({key[3] for key in times})
    most = places[-1]
    header = ["runtime", "batch", *(f"{count} places" for count in places), "a place"]
    lines = [
        [
            f"{numbers.runtime_name(runtime)} {precision}",
            str(batch),
            *(f"{times[runtime, precision, batch, count]:.2f} ms" for count in places),
            f"{(times[runtime, precision, batch, most] - times[runtime, precision, batch, 0]) / most:.2f} ms",
        ]
        for runtime, precision, batch in served_in
        if all((runtime, precision, batch, count) in times for count in places)
    ]
    return table(header, lines) + source(facts, f"MiniLM on {facts['task']}")


def rates_table() -> str:
    """Show what held-out rows say of the learning rates at which models learn whose tokens or texts leave."""
    found = [
        facts
        for path in sorted((RESULTS / "leaving_rate").glob("*.json"))
        if (facts := read(path)) is not None
    ]
    rates = sorted({row["rate"] for facts in found for row in facts["rows"]})
    header = ["method and task", "judged at", "dense", *(f"{rate:g}" for rate in rates)]
    lines = [line for facts in found for line in rate_lines(facts, rates)]
    notes = [source(facts, f"{facts['method']} on {facts['task']}", f"n = {facts['n']:,}") for facts in found]
    return table(header, lines) + "".join(notes) if lines else MISSING


def rate_lines(facts: Facts, rates: list[float]) -> list[list[str]]:
    """Return the rows of a method and task, a row for all that it was judged at."""
    by_rate = {row["rate"]: judged(facts["method"], row) for row in facts["rows"]}
    named = f"{facts['method']}, {facts['task']}"
    return [
        [named, where, f"{facts['dense']:.1f}", *(by_rate.get(rate, {}).get(where, "") for rate in rates)]
        for where in next(iter(by_rate.values()))
    ]


def judged(method: str, row: Facts) -> dict[str, str]:
    """Return the scores of one training in points, by what they are of."""
    if method == "patience":
        return {
            f"patience {one['threshold']:g}": f"{100 * one['score']:.1f}, {100 * one['saved']:.0f}% saved"
            for one in row["exits"]["curve"]
        }
    if method == "length-adaptive":
        return {f"{100 * float(ratio):.0f}% saved": f"{score:.1f}" for ratio, score in row["scores"].items()}
    return {"as it leaves": f"{row['untrained']:.1f}", "trained": f"{row['score']:.1f}"}


TABLES: dict[str, Callable[[], str]] = {
    "dynamic": curve_tables,
    "dial": dial_tables,
    "leaving": leaving_table,
    "leaving_rate": rates_table,
    "long_text": long_text_table,
    "token_merge": merge_table,
}
