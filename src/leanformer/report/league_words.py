"""A league in words: which is the fastest that keeps the score, and plainly who does worse than something simpler."""

from __future__ import annotations

from typing import Any

from leanformer.budget import SPARSE
from leanformer.report import numbers
from leanformer.report.runtimes import FALLEN_POINTS

SHORT = 0.02  # of a ratio: more than rounding to whole units explains
League = dict[str, Any]
Row = dict[str, Any]


def headline(league: League) -> str:
    """Say which method is the fastest that keeps the score, and which is the fastest of all.

    Args:
        league: The content of league.json.

    Returns:
        One sentence or two.
    """
    rows = league["rows"]
    if not league["batches"]:
        return f"{rows[0]['method']} keeps most of the score: it {_loses(rows[0])}. Nothing was timed."
    batch = league["batches"][-1]
    kept = [row for row in rows if row["drop_points"] <= FALLEN_POINTS]
    fastest = max(rows, key=lambda row: ratio_of(row, batch))
    end = f"Fastest of all is {fastest['method']}, {_speed(fastest, batch)}, and {_loses(fastest)}."
    if not kept:
        return f"No method keeps within {FALLEN_POINTS:g} point; {rows[0]['method']} {_loses(rows[0])}. {end}"
    best = max(kept, key=lambda row: ratio_of(row, batch))
    start = f"Within {FALLEN_POINTS:g} point lost, {best['method']} is the fastest: {_speed(best, batch)}"
    return f"{start}; it {_loses(best)}." + ("" if best is fastest else f" {end}")


def beaten_sentences(league: League) -> list[str]:
    """Say of each method that does worse than a simpler one, in score and in speed, that it does.

    Args:
        league: The content of league.json.

    Returns:
        One sentence a method; none where each is good for something.
    """
    by_name = {row["method"]: row for row in league["rows"]}
    return [
        _beaten(row, by_name[row["beaten_by"]], league["batches"])
        for row in league["rows"]
        if row["beaten_by"] is not None
    ]


def refused_sentences(league: League) -> list[str]:
    """Say why cells were refused, one sentence a cell.

    Args:
        league: The content of league.json.

    Returns:
        The sentences.
    """
    return [f"{refused_name(one, league)}: {one['sentence']}" for one in league["refused"]]


def refused_name(one: Row, league: League) -> str:
    """Name a refused cell: the method, and the seed where there are several."""
    return f"{one['method']}, seed {one['seed']}" if len(league["seeds"]) > 1 else str(one["method"])


def notes(league: League) -> list[str]:
    """Say what a careful reader needs to judge the table.

    Args:
        league: The content of league.json.

    Returns:
        Sentences.
    """
    several = len(league["seeds"]) > 1
    lines = [
        f"All prune the same dense model, which scores {numbers.points(league['dense']['score'])} on "
        f"{numbers.count(league['n'])} rows; seed{'s' if several else ''} {', '.join(map(str, league['seeds']))}."
    ]
    if several:
        lines.append(
            "Figures are means over the seeds; an interval reaches from the lowest end to the highest of theirs. "
            "Speed is that of the first seed's model."
        )
    for one in league["untimed"]:
        lines.append(
            f"{one['method']} was not timed in {numbers.runtime_name(one['runtime'])} {one['precision']}: its "
            "exported file was refused; leanformer export of its cell says why."
        )
    if league["quick"]:
        lines.append("This was a quick league: fewer epochs and candidates than a method deserves.")
    for row in league["rows"]:
        if row["asked_ratio"] is None:
            lines.append(
                f"{row['method']} takes no ratio: it stops at a bound on the score, here at {row['reached']:.2f}."
            )
        elif row["reached"] < row["asked_ratio"] - SHORT:
            lines.append(f"{row['method']} stopped short of the ratio, at {row['reached']:.2f}.")
        if row["granularity"] in SPARSE:
            lines.append(f"{row['method']} leaves zeros in whole matrices, which no runtime here skips.")
    return lines


def asked_words(row: Row) -> str:
    """Say what a method was asked for: "0.5", or "1 point"."""
    if row["asked_ratio"] is not None:
        return f"{row['asked_ratio']:g}"
    points = row["asked_drop_points"]
    return f"{points:g} point{'' if points == 1 else 's'}"


def ratio_of(row: Row, batch: int) -> float:
    """Return a row's speed-up in fp32."""
    return float(row["speeds"][str(batch)]["fp32"]["ratio"])


def _beaten(row: Row, better: Row, batches: list[int]) -> str:
    words = (
        f"{row['method']} does worse than the simpler {better['method']}: {_lost(row)} points lost against "
        f"{_lost(better)}, and {_speeds(row, batches)} against {_speeds(better, batches)} the dense model's speed at "
        f"{_batches(batches)}"
    )
    overlapping = _overlapping(row, better, batches)
    return words + (
        f"; the intervals of the {overlapping} overlap, another run may turn it round."
        if overlapping
        else "."
    )


def _overlapping(row: Row, better: Row, batches: list[int]) -> str:
    """Name what the clock or the rows leave open: the row loses more, and is slower, than the better one."""
    pairs = [(row["speeds"][str(batch)]["fp32"], better["speeds"][str(batch)]["fp32"]) for batch in batches]
    found = ["losses"] if row["drop_low"] <= better["drop_high"] else []
    found += ["speeds"] if any(slow["high"] >= fast["low"] for slow, fast in pairs) else []
    return " and of the ".join(found)


def _lost(row: Row) -> str:
    return (
        f"{numbers.signed(row['drop_points'])} ({numbers.drop_interval((row['drop_low'], row['drop_high']))})"
    )


def _loses(row: Row) -> str:
    points = round(row["drop_points"], 1)
    if points == 0:
        return "loses nothing"
    return f"{'gains' if points < 0 else 'loses'} {abs(points):.1f} point{'' if abs(points) == 1 else 's'}"


def _speed(row: Row, batch: int) -> str:
    return f"{numbers.times_exact(ratio_of(row, batch))}× at batch {batch}"


def _speeds(row: Row, batches: list[int]) -> str:
    return " and ".join(f"{numbers.times_exact(ratio_of(row, batch))}×" for batch in batches)


def _batches(batches: list[int]) -> str:
    return f"batch {' and '.join(map(str, batches))}"
