"""The tables of docs/ae-bert.md."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from scipy.stats import kendalltau

from markdown_tables import RESULTS, Facts, processor, table

ABLATION = "candidate-0"  # the uniform allocation, with ae-bert's order of removal and repair
METHODS = (
    "uniform-magnitude",
    "global-magnitude",
    "gradual-magnitude",
    ABLATION,
    "ae-bert-random",
    "ae-bert",
)
BOTH = "reconstruction and repaired-in-sequence"


def cells() -> list[Facts]:
    """Return all finished cells of the AE-BERT grid that were fine-tuned and scored."""
    return [cell for cell in results() if "scores" in cell]


def results() -> list[Facts]:
    """Return all finished cells of the AE-BERT grid."""
    paths = sorted((RESULTS / "ae_bert").glob("*/*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) | {"processor": path.parent.name} for path in paths]


def headline(cell: Facts) -> float:
    """Return the score that a row is compared by: over all labelled rows that were never chosen on, in percent."""
    return 100 * over_all_rows(cell, {name: score["value"] for name, score in cell["scores"].items()})


def over_all_rows(cell: Facts, values: dict[str, float]) -> float:
    """Return the mean over the rows of all splits."""
    rows = {name: score["n"] for name, score in cell["scores"].items()}
    return sum(values[name] * count for name, count in rows.items()) / sum(rows.values())


def shown(method: str) -> str:
    """Return how a method is called in the tables."""
    return "uniform, OBS order, repaired" if method == ABLATION else method


def scores_table() -> str:
    """Scores of all methods by task and ratio: mean over seeds, and each seed."""
    groups: dict[tuple[str, ...], dict[str, list[Facts]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells():
        facts = cell["cell"]
        key = (facts["model"], cell["processor"], facts["task"], facts["granularity"], f"{facts['ratio']:g}")
        groups[key][facts["method"]].append(cell)
    rows = []
    for (model, place, task, granularity, ratio), methods in sorted(groups.items()):
        for method in ("dense", *METHODS):
            if found := methods.get(method):
                found = sorted(found, key=lambda cell: cell["seed"])
                values = [headline(cell) for cell in found]
                n = sum(score["n"] for score in found[0]["scores"].values())
                each = " / ".join(f"{value:.1f}" for value in values)
                name = "0 (dense)" if method == "dense" else ratio
                mean = f"{statistics.mean(values):.1f}"
                seeds = ", ".join(str(cell["seed"]) for cell in found)
                distance = statistics.mean(over_all_rows(cell, cell["divergences"]) for cell in found)
                far = "" if method == "dense" else f"{distance:.3f}"
                rows.append(
                    [model, place, task, granularity, name, shown(method), mean, each, far, seeds, str(n)]
                )
    return table(
        ["model", "processor", "task", "granularity", "ratio", "method", "mean", "each", "KL", "seeds", "n"],
        rows,
    )


def margins_table() -> str:
    """How far ae-bert is above each other row, cell by cell, each counted from its own dense model.

    Where both lie on one processor their dense model is the same, and the margin is the difference of the scores;
    else the dense models differ by their rounding, and the margin is between what each row lost.
    """
    lost = losses()
    rows = []
    for method in METHODS[:-1]:
        own: list[float] = []
        across: list[float] = []
        for (place, *key, name), loss in lost.items():
            if name != method:
                continue
            same = lost.get((place, *key, "ae-bert"))
            others = [value for other, value in lost.items() if other[1:] == (*key, "ae-bert")]
            if same is not None:
                own.append(loss - same)
            elif others:
                across.append(loss - statistics.mean(others))
        if gains := own + across:
            spread = f"{min(gains):+.1f} to {max(gains):+.1f}"
            above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
            rows.append([shown(method), f"{statistics.mean(gains):+.1f}", spread, above, str(len(own))])
    header = ["ae-bert against", "mean, points", "least to most", "above it in", "with the same dense model"]
    return table(header, rows)


def losses() -> dict[tuple[Any, ...], float]:
    """Return what each cell lost against its own dense model, in points, by processor, model, task, ... , method."""
    found = cells()
    dense = {
        (cell["processor"], cell["cell"]["model"], cell["cell"]["task"], cell["seed"]): headline(cell)
        for cell in found
        if cell["cell"]["method"] == "dense"
    }
    lost = {}
    for cell in found:
        facts = cell["cell"]
        teacher = dense.get((cell["processor"], facts["model"], facts["task"], facts["seed"]))
        if facts["method"] != "dense" and teacher is not None:
            key = (facts["model"], facts["task"], facts["granularity"], facts["ratio"], facts["seed"])
            lost[cell["processor"], *key, facts["method"]] = teacher - headline(cell)
    return lost


def studied() -> list[tuple[Facts, Facts]]:
    """Return what the cheap evaluations said of each candidate of the study, and what its fine-tuning made of it."""
    cells = [
        cell
        for cell in results()
        if (cell["cell"]["task"], cell["cell"]["ratio"], cell["seed"]) == ("mrpc", 0.8, 0)
    ]
    place = next((cell["processor"] for cell in cells if cell["cell"]["method"].startswith("judged-")), None)
    found = {cell["cell"]["method"]: cell for cell in cells if cell["processor"] == place}
    numbers = [method.removeprefix("judged-") for method in found if method.startswith("judged-")]
    pairs = {number: (f"judged-{number}", f"candidate-{number}") for number in sorted(numbers, key=int)}
    return [(found[judged], found[tuned]) for judged, tuned in pairs.values() if tuned in found]


def evaluation(judged: Facts, fidelity: str) -> Facts:
    """Return what an evaluation said of a candidate; `BOTH` is what the search decides by."""
    known = judged["evaluations"]
    if fidelity != BOTH:
        return known[fidelity]
    parts = [known[name] for name in ("reconstruction", "repaired-in-sequence")]
    return {
        "divergence": statistics.geometric_mean(part["divergence"] for part in parts),
        "seconds": sum(part["seconds"] for part in parts),
    }


def correlation_table() -> str:
    """Kendall's tau between each cheap evaluation and the score after fine-tuning."""
    found = studied()
    if len(found) < 2:
        return "The candidates of the correlation study are not finished yet."
    final = [headline(cell) for _, cell in found]
    distance = [over_all_rows(cell, cell["divergences"]) for _, cell in found]
    rows = []
    for fidelity in (*found[0][0]["evaluations"], BOTH):
        measured = [evaluation(judged, fidelity) for judged, _ in found]
        cheap = [entry["divergence"] for entry in measured]
        taus = (kendalltau([-value for value in cheap], final), kendalltau(cheap, distance))
        written = [tau_words(tau) for tau in taus]
        seconds = statistics.median(entry["seconds"] for entry in measured)
        rows.append([fidelity, *written, f"{seconds:.1f}", str(len(found))])
    own = tau_words(kendalltau([-value for value in distance], final))
    rows.append(["(KL of the fine-tuned model itself)", own, "", "", str(len(found))])
    header = ["evaluation", "tau with the accuracy", "tau with the KL", "median seconds", "candidates"]
    return table(header, rows)


def tau_words(tau: Any) -> str:
    """Return a tau with its p value."""
    chance = "p < 0.001" if tau.pvalue < 0.001 else f"p = {tau.pvalue:.3f}"
    return f"{tau.statistic:.2f} ({chance})"


def candidates_table() -> str:
    """Each candidate of the correlation study: cheap measures, and what fine-tuning made of it."""
    rows = []
    pairs = studied()
    for judged, cell in pairs:
        measured = [f"{entry['divergence']:.3g}" for entry in judged["evaluations"].values()]
        final = f"{over_all_rows(cell, cell['divergences']):.3f}"
        rows.append([cell["cell"]["method"], *measured, final, f"{headline(cell):.1f}"])
    names = pairs[0][0]["evaluations"] if pairs else ()
    return table(["candidate", *names, "KL after fine-tuning", "accuracy"], rows)


def cost_table() -> str:
    """What the search costs beside the fine-tuning of its winner."""
    rows = []
    for cell in cells():
        if cell["cell"]["method"] in ("ae-bert", "ae-bert-random"):
            search, recovery = cell["search"]["seconds"], cell["training"]["recovery_seconds"]
            facts = cell["cell"]
            name = f"{facts['task']}, {facts['granularity']} {facts['ratio']:g}, seed {facts['seed']}"
            count = len(cell["search"]["candidates"])
            share = f"{search / recovery:.2f}"
            gained = f"{100 * over_seeds(cell):.1f}%"
            rows.append(
                [
                    name,
                    cell["processor"],
                    facts["method"],
                    str(count),
                    f"{search:.0f}",
                    f"{recovery:.0f}",
                    share,
                    gained,
                ]
            )
    header = [
        "run",
        "processor",
        "method",
        "candidates",
        "search, s",
        "recovery, s",
        "search / recovery",
        "winner over seeds",
    ]
    return table(header, rows)


def over_seeds(cell: Facts) -> float:
    """Return how far a winner's geometric mean lies under that of the best seed, as a share of it."""
    seeds = ("uniform", "global", "reconstruction")
    found = cell["search"]["candidates"]
    best = min(statistics.geometric_mean(one["scores"].values()) for one in found if one["origin"] in seeds)
    winner = next(one for one in found if one["chosen"])
    return 1 - statistics.geometric_mean(winner["scores"].values()) / best


def evaluation_table() -> str:
    """What one evaluation costs."""
    path = RESULTS / "evaluation_cost.json"
    if not path.exists():
        return "Not measured yet."
    facts = json.loads(path.read_text(encoding="utf-8"))
    ratios = sorted(facts["seconds"])
    rows = [
        [name, *(f"{facts['seconds'][ratio][name]:.2f}" for ratio in ratios)]
        for name in facts["seconds"][ratios[0]]
    ]
    note = (
        f"\n\n{facts['sentences']} sentences, median of {facts['candidates']} random candidates, seed "
        f"{facts['seed']}, `{facts['command']}`, commit {facts['commit']}, {processor(facts)}."
    )
    return table(["evaluation", *(f"seconds at ratio {ratio}" for ratio in ratios)], rows) + note


def rate_table() -> str:
    """How far from the dense model recovery ends, by its learning rate."""
    found: dict[str, dict[int, Facts]] = defaultdict(dict)
    for path in sorted((RESULTS / "recovery_rate").glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        found[facts["damaged"]][facts["times"]] = facts
    all_times = sorted({times for cells in found.values() for times in cells})
    rows = []
    for name, by_times in sorted(found.items(), key=lambda item: next(iter(item[1].values()))["damage"]):
        first = next(iter(by_times.values()))
        ends = [f"{by_times[times]['divergence']:.3f}" if times in by_times else "" for times in all_times]
        about = f"{name}: {first['task']} at {first['ratio']:g}"
        start = f"{first['divergence_before']:.3f}"
        rows.append([about, f"{first['damage']:.2f}", start, *ends, f"{first['rule_times']:.1f}x"])
    header = [
        "damage",
        "hidden states missed",
        "KL before",
        *(f"KL at {t}x" for t in all_times),
        "the rule takes",
    ]
    if not found:
        return "Not measured yet."
    facts = next(iter(next(iter(found.values())).values()))
    counts = sorted({one["held_out_rows"] for by_times in found.values() for one in by_times.values()})
    note = (
        f"\n\n{' or '.join(map(str, counts))} held-out rows, seed {facts['seed']}, one run each, "
        f"`python benchmarks/recovery_rate.py`, commit {facts['commit']}, {processor(facts)}, one thread."
    )
    return table(header, rows) + note


TABLES: dict[str, Callable[[], str]] = {
    "scores": scores_table,
    "margins": margins_table,
    "correlation": correlation_table,
    "candidates": candidates_table,
    "cost": cost_table,
    "evaluation": evaluation_table,
    "rate": rate_table,
}
