"""Columns of models that were timed side by side, as benchmarks/side_by_side.py keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from leanformer.report import numbers
from markdown_tables import Facts


def columns(bench: Sequence[Facts]) -> list[str]:
    """Return a heading a runtime, precision and batch size."""
    return [
        f"{numbers.runtime_name(runtime)} {precision}, batch {batch}"
        for runtime, precision, batch in served(bench)
    ]


def speeds(model: str, bench: Sequence[Facts]) -> list[str]:
    """Return a model's speed-up over the dense one in each of these, "" where it does not run there."""
    found = {(row["runtime"], row["precision"], row["batch"]): row for row in bench if row["model"] == model}
    return [speed(found[one]) if one in found else "" for one in served(bench)]


def speed(row: Facts) -> str:
    """Return a ratio with its interval."""
    return (
        f"{numbers.times_exact(row['ratio'])}x "
        f"({numbers.times_interval(row['ratio_low'], row['ratio_high'])})"
    )


def served(bench: Sequence[Facts]) -> list[tuple[str, str, int]]:
    """Return the runtimes, precisions and batch sizes that are shown: of those that serve."""
    found = {(row["runtime"], row["precision"], row["batch"]) for row in bench}
    return sorted(one for one in found if one[0] != "torch")
