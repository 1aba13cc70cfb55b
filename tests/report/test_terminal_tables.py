"""The tables of the terminal show what was measured, and nothing else."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from leanformer.report.table import bench_table, summary_table


def printed(table: Table, width: int = 140) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().replace("\u00a0", " ")


def test_the_summary_sets_both_models_side_by_side(result: dict[str, Any]) -> None:
    text = printed(summary_table(result), width=80)
    for words in (
        "80.1 (76.2 to 83.8)",
        "79.4 (75.5 to 83.1)",
        "−0.7 (−2.0 to 0.5)",
        "10.6 M",
        "69.6 MB",
        "1.86× (1.79 to 1.94)",
        "n = 1,725",
    ):
        assert words in text


def test_the_summary_has_the_file_that_is_served_on_the_test_rows(result: dict[str, Any]) -> None:
    result["test"]["served"] = {"score": 0.801, "drop_points": -1.0, "drop_interval": [-2.5, 0.4]}
    text = printed(summary_table(result), width=80)
    assert "as served" in text
    assert "+1.0 (−0.4 to 2.5)" in text


def test_the_summary_has_the_accuracy_under_attack(result: dict[str, Any]) -> None:
    assert "under attack" not in printed(summary_table(result))
    facts = {"clean": 0.9, "n": 512, "changed_words": 1.5}
    result["attack"] = {"dense": {**facts, "attacked": 0.25}, "compressed": {**facts, "attacked": 0.375}}
    text = printed(summary_table(result))
    assert "accuracy under attack" in text
    assert "n = 512 held-out rows" in text
    assert all(word in text for word in ("25.0", "37.5", "+12.5"))


def test_the_summary_leaves_out_what_was_not_measured(bare_result: dict[str, Any]) -> None:
    text = printed(summary_table(bare_result))
    assert "speed" not in text
    assert "on test" not in text


def test_the_bench_marks_a_fallen_score(result: dict[str, Any]) -> None:
    text = printed(bench_table(result["bench"]))
    assert text.count("▼3.1") == 2
    assert text.count("ONNX Runtime") == 8


def test_the_bench_fits_a_narrow_terminal(result: dict[str, Any]) -> None:
    rows = [row | {"model": "a-model-with-a-rather-long-name"} for row in result["bench"]]
    text = printed(bench_table(rows), width=80)
    assert "…" not in text
    assert text.count("ONNX Runtime int8") == 4
    for row in rows:
        assert f"({row['ratio_low']:.2f} to {row['ratio_high']:.2f})" in text


def test_markup_in_names_is_not_interpreted(result: dict[str, Any]) -> None:
    result["task"]["name"] = "[bold]task[/bold]"
    rows = [row | {"model": "[red]x"} for row in result["bench"]]
    assert "[bold]task[/bold]" in printed(summary_table(result))
    assert "[red]x" in printed(bench_table(rows))


def test_a_large_model_is_sized_in_plain_digits(result: dict[str, Any]) -> None:
    assert " 1,340" in printed(bench_table([result["bench"][0] | {"size_mb": 1340.2}]))


def test_peak_memory_is_shown_where_it_was_measured(result: dict[str, Any]) -> None:
    assert "peak MB" not in printed(bench_table(result["bench"]))
    text = printed(bench_table([result["bench"][0] | {"peak_mb": 612.4}, *result["bench"][1:]]))
    assert "peak MB" in text
    assert " 612" in text


def test_a_ratio_that_did_not_settle_is_marked(result: dict[str, Any]) -> None:
    row = result["bench"][1] | {"settled": False}
    text = printed(bench_table([result["bench"][0] | {"settled": True}, row]))
    assert text.count("~") == 2
    assert f"~{row['ratio']:.2f}×" in text
