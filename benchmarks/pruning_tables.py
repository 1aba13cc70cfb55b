"""The tables of docs/pruning.md: each pruning system's own question, from benchmarks/results/pruning and one_shot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from markdown_tables import MISSING, RESULTS, Facts, interval, read, source, table

FOLDER = RESULTS / "pruning"


def one_shot_table() -> str:
    """What is lost without any training, by the share of multiply-accumulates that stays."""
    found = [facts for task in ("mrpc", "sst-2") if (facts := read(RESULTS / "one_shot" / f"{task}.json"))]
    if not found:
        return MISSING
    rows = [
        [
            facts["task"],
            f"{cell['share']:g}",
            *scores(cell),
            f"{cell['seconds']:.0f} s",
        ]
        for facts in found
        for cell in facts["cells"]
    ]
    header = ["task", "MACs left", *SCORES, "time"]
    return table(header, rows) + "".join(source(facts, f"MiniLM on {facts['task']}") for facts in found)


SCORES = ("dense", "compressed", "points lost (95%)", "on test rows")


def scores(facts: Facts) -> list[str]:
    """Return the cells of `SCORES`: on validation rows, then on test rows where they are labelled."""
    dense, small = (100 * facts[key]["score"] for key in ("dense", "compressed"))
    test = facts.get("test")
    on_test = (
        f"{100 * test['dense']:.1f} → {100 * test['compressed']:.1f} (n = {test['n']:,})" if test else ""
    )
    lost = f"{facts['drop_points']:.1f} ({interval(facts['drop_interval'], '').strip()})"
    return [f"{dense:.1f}", f"{small:.1f} (n = {facts['n']:,})", lost, on_test]


def systems_table() -> str:
    """Every cell of benchmarks/pruning.py that was measured."""
    found = [facts for path in sorted(FOLDER.glob("*.json")) if "cell" in (facts := read(path) or {})]
    if not found:
        return MISSING
    rows = [
        [
            facts["method"]
            + ("" if facts["granularity"] in ("unit", "head") else f", {facts['granularity']}"),
            f"{facts['model']}, {facts['task']}",
            f"{100 * facts['pruning_ratio_reached']:.0f}%",
            *scores(facts),
            f"{100 * facts['compressed']['score'] / facts['dense']['score']:.1f}%",
            f"{facts['seconds'] / 60:.1f} min",
        ]
        for facts in found
    ]
    header = ["method", "on", "removed", *SCORES, "kept of the score", "time"]
    return table(header, rows) + "".join(source(facts, facts["cell"]) for facts in found)


def heads_table() -> str:
    """Michel's curve on held-out rows: heads leave by importance, without training."""
    facts = read(FOLDER / "taylor-heads.json")
    if facts is None:
        return MISSING
    ladder, heads = facts["heads"]["ladder"], facts["heads"]["ladder"][-1]["removed"]
    rows = [
        [f"{100 * step['removed'] / heads:.0f}%", str(step["removed"]), f"{100 * step['score']:.1f}"]
        for step in ladder[::2]
    ]
    header = ["heads gone", "of " + str(heads), f"score on {facts['heads']['judging_rows']} held-out rows"]
    return table(header, rows) + "\n\n" + agreement() + source(facts, "e5-small on MRPC")


def agreement() -> str:
    """Compare two rankings of the same heads: Taylor importance, and how open trained gates are."""
    taylor, gates = (read(FOLDER / f"{name}.json") for name in ("taylor-heads", "l0-heads"))
    if taylor is None or gates is None:
        return "The gates of `l0-heads` are not measured yet."
    one, two = (
        np.concatenate([np.asarray(row) for row in facts["heads"]["scores"]]) for facts in (taylor, gates)
    )
    removed = [{tuple(head) for head in facts["heads"]["removed"]} for facts in (taylor, gates)]
    count = len(removed[1])
    order = np.argsort(one, kind="stable")[:count]
    width = len(taylor["heads"]["scores"][0])
    first = {(int(place) // width, int(place) % width) for place in order}
    return (
        f"Head by head, importance and the gates of `l0-heads` agree with a rank correlation of "
        f"{rank_correlation(one, two):.2f} (Spearman, {len(one)} heads); of the {count} heads that the gates closed, "
        f"{len(first & removed[1])} are among the {count} least important, where chance would have "
        f"{count * count / len(one):.0f}."
    )


def rank_correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Return Spearman's correlation, equal values sharing their mean rank."""
    return float(np.corrcoef(ranks(one), ranks(two))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, the mean one where several are equal."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: np.ndarray = (ends - (counts - 1) / 2)[places]
    return means


def attack_table() -> str:
    """Clean accuracy and accuracy under attack, dense and ticket."""
    facts = read(FOLDER / "robust-tickets.json")
    if facts is None:
        return MISSING
    names = {"dense": "dense", f"ticket, {facts['pruning_ratio_reached']:.0%} gone": "compressed"}
    return attacked_rows({name: facts["attack"][key] for name, key in names.items()}) + source(facts)


def robust_parts_table() -> str:
    """The parts of the method, and tickets of several sizes, under the same attack."""
    parts, drawn = (read(FOLDER / name) for name in ("robust-why.json", "robust-drawn.json"))
    tables = []
    if drawn is not None:
        names = {name: name if name == "dense" else f"{float(name):.0%} gone" for name in drawn["attacked"]}
        tables.append(
            attacked_rows({names[name]: one for name, one in drawn["attacked"].items()}) + source(drawn)
        )
    if parts is not None:
        tables.append(attacked_rows(parts["attacked"]) + source(parts))
    return "\n\n".join(tables) or MISSING


def attacked_rows(attacked: dict[str, Facts]) -> str:
    """Return a table with a row a model that was attacked."""
    rows = [
        [name, f"{100 * one['clean']:.1f}", f"{100 * one['attacked']:.1f}", f"{one['changed_words']:.1f}"]
        for name, one in attacked.items()
    ]
    n = next(iter(attacked.values()))["n"]
    return table([f"MiniLM, SST-2, n = {n} held-out rows", "clean", "under attack", "words changed"], rows)


def multitask_table() -> str:
    """The joint encoder against splits of the same budget."""
    facts = read(FOLDER / "multitask.json")
    if facts is None:
        return MISSING
    return table(["under the same budget", "MRPC", "SST-2", "mean"], multitask_rows(facts)) + source(facts)


def multitask_rows(facts: Facts) -> Iterator[list[str]]:
    """Yield the joint encoder's row, and one a split."""
    pairs = [("one encoder for both", facts["joint"])]
    pairs += [(f"two encoders, {split['shares'][0]:g} of one for MRPC", split) for split in facts["splits"]]
    for name, pair in pairs:
        values = [100 * pair[task]["compressed"] for task in ("mrpc", "sst-2")]
        yield [name, *(f"{value:.1f}" for value in values), f"{sum(values) / 2:.1f}"]


TABLES: dict[str, Callable[[], str]] = {
    "one_shot": one_shot_table,
    "systems": systems_table,
    "heads": heads_table,
    "attack": attack_table,
    "robust_parts": robust_parts_table,
    "multitask": multitask_table,
}
