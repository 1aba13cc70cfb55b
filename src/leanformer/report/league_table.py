"""A league on the terminal: one row a method, and what there is to say of them; readable at 100 columns."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leanformer.report import numbers
from leanformer.report.league_words import beaten_sentences, headline, notes, refused_sentences


def league_shown(league: dict[str, Any]) -> Group:
    """Show a league.

    Args:
        league: The content of league.json.

    Returns:
        The table, who leads, who does worse than something simpler, and who was refused.
    """
    parts: list[RenderableType] = [league_table(league), Text(""), Text(headline(league), style="bold")]
    parts += [Text(f"▼ {sentence}", style="red") for sentence in beaten_sentences(league)]
    parts += [Text(f"refused: {sentence}") for sentence in refused_sentences(league)]
    parts += [Text(sentence, style="dim") for sentence in notes(league)]
    return Group(*parts)


def league_table(league: dict[str, Any]) -> Table:
    """Show the rows, dense first; marked are those that do worse than a simpler method.

    Args:
        league: The content of league.json.

    Returns:
        The table.
    """
    title = f"{league['task']['name']}, n = {numbers.count(league['n'])}, 95% intervals"
    int8 = ", then int8" if "int8" in league["precisions"] else ""
    clock = (
        f" batch: speed over the dense model's best runtime, each model in its own, fp32{int8}."
        if league["batches"]
        else ""
    )
    table = Table(
        title=Text(title),
        caption=Text(
            f"gone: of what the method removes (weights, heads or layers).{clock}",
            style="dim",
        ),
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("method", no_wrap=True)
    names = [numbers.metric_name(league["metric"]), "points lost", "encoder"]
    names += [f"batch {size}" for size in league["batches"]]
    for name in (*names, "min"):
        table.add_column(name, justify="right")
    for row in (league["dense"], *league["rows"]):
        table.add_row(*_cells(row, league))
    for one in league["refused"]:
        table.add_row(one["method"], "refused")
    return table


def _cells(row: dict[str, Any], league: dict[str, Any]) -> list[Text]:
    is_dense = row is league["dense"]
    beaten = row.get("beaten_by") is not None
    name = Text(f"{'▼' if beaten else ''}{row['method']}", style="red" if beaten else "")
    if not is_dense:
        name.append(f"\n{numbers.count(row['steps'])} steps" if row["steps"] else "\nno training", "dim")
    lost = ("", "") if is_dense else _lost(row)
    test = row["test"]
    score = _cell(numbers.points(row["score"]), numbers.points_interval(row["low"], row["high"]))
    if test:
        score.append(f"\ntest {numbers.points(test['score'])}", "dim")
    return [
        name,
        score,
        _cell(*lost),
        _cell(
            numbers.short_count(row["encoder_parameters"]),
            "" if is_dense else f"{numbers.percent(row['macs_share'])} MACs\n{row['reached']:.2f} gone",
        ),
        *(_speed(row["speeds"].get(str(size), {}), is_dense) for size in league["batches"]),
        Text(minutes(row["minutes"])),
    ]


def minutes(value: float) -> str:
    """Write minutes, with a digit after the point below ten."""
    return f"{value:.1f}" if value < 10 else numbers.count(round(value))


def _lost(row: dict[str, Any]) -> tuple[str, str]:
    return numbers.signed(row["drop_points"]), numbers.drop_interval((row["drop_low"], row["drop_high"]))


def _cell(figure: str, below: str) -> Text:
    text = Text(figure)
    return text.append(f"\n{below}", "dim") if below else text


def _speed(speeds: dict[str, Any], is_dense: bool) -> Text:
    """Write fp32 with its interval, and int8 below; of the dense model, which runtime is its best."""
    fp32, int8 = speeds["fp32"], speeds.get("int8")
    if is_dense:
        return _cell("1.00×", numbers.runtime_name(fp32["runtime"]))
    text = _cell(f"{numbers.times_exact(fp32['ratio'])}×", numbers.times_interval(fp32["low"], fp32["high"]))
    return text.append(f"\nint8 {numbers.times_exact(int8['ratio'])}×", "dim") if int8 else text
