"""The tables of docs/speed.md on a base-size model, and on what its profile showed of int8 files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from markdown_tables import MISSING, RESULTS, Facts, processor, read, source, table
from speed_tables import ratio_of, times

KINDS = ("recorded", "forgotten")


def base_size_table() -> str:
    """Each model, pruned on a GPU and distilled on, over the best plain variant of the dense one."""
    found = [facts for path in sorted((RESULTS / "base_size").glob("*.json")) if (facts := read(path))]
    header = [
        *("model and task", "pruned", "recovery", "served in", "score", "points lost, as served"),
        *("over the best plain dense variant", "over PyTorch"),
    ]
    rows = [row for facts in found for row in rows_of(facts)]
    return table(header, rows) + "".join(map(notes_of, found)) if rows else MISSING


def rows_of(facts: Facts) -> Iterator[list[str]]:
    """Return the rows of one model."""
    for best in facts["best"]:
        epochs = facts["trained"]["training"]["epochs"]
        longer = f"{epochs:g} epochs" + (", and on" if best["model"] == "longer" else "")
        yield [
            facts["name"],
            f"{100 * facts['trained']['pruning_ratio_reached']:.0f}%",
            longer,
            best["variant"],
            f"{100 * best['score']:.1f} of {100 * best['dense_score']:.1f}",
            f"{best['drop_points']:+.1f}",
            f"{times(ratio_of(best))} over {best['plain']}",
            f"{best['over_torch']:.1f}x",
        ]


def notes_of(facts: Facts) -> str:
    """Return what stands under the table: where it was trained, and where timed."""
    trained = facts["trained"]
    where = f"trained by `{trained['command']}` on {processor(trained)}"
    return source(facts, facts["name"], f"n = {trained['n']:,}", where)


def norms_table() -> str:
    """What ONNX Runtime makes of int8 files with recorded shapes, and without."""
    facts = read(RESULTS / "int8_norms.json")
    if facts is None:
        return MISSING
    header = ["model", "batch", "with shapes", "without", "faster", "accuracy with", "without"]
    rows = [
        [
            *(row["model"], str(row["batch"])),
            *(f"{row[f'{name}_ms']:.2f} ms" for name in KINDS),
            times(ratio_of(row)),
            *(f"{100 * row['scores'][name]:.1f}" for name in KINDS),
        ]
        for row in facts["rows"]
    ]
    return table(header, rows) + source(facts, facts["task"], f"n = {facts['rows'][0]['n']:,}")


TABLES: dict[str, Callable[[], str]] = {"base_size": base_size_table, "int8_norms": norms_table}
