"""The table of docs/speed.md on a base-size model, as benchmarks/base_size.py keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from markdown_tables import MISSING, RESULTS, Facts, processor, read, source, table


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
        ratio = f"{best['ratio']:.2f}x ({best['ratio_low']:.2f} to {best['ratio_high']:.2f})"
        epochs = facts["trained"]["training"]["epochs"]
        longer = f"{epochs:g} epochs" + (", and on" if best["model"] == "longer" else "")
        yield [
            facts["name"],
            f"{100 * facts['trained']['pruning_ratio_reached']:.0f}%",
            longer,
            best["variant"],
            f"{100 * best['score']:.1f} of {100 * best['dense_score']:.1f}",
            f"{best['drop_points']:+.1f}",
            f"{ratio} over {best['plain']}",
            f"{best['over_torch']:.1f}x",
        ]


def notes_of(facts: Facts) -> str:
    """Return what stands under the table: where it was trained, and where timed."""
    trained = facts["trained"]
    where = f"trained by `{trained['command']}` on {processor(trained)}"
    return source(facts, facts["name"], f"n = {trained['n']:,}", where)


TABLES: dict[str, Callable[[], str]] = {"base_size": base_size_table}
