"""The table of a league as one dictionary, league.json: read from the cells' results and the clock's rows.

league.json holds

- `version`, `created`, `command`, `machine`: as in result.json; `threads` are those of the machine's facts;
- `model`, `task`, `metric`, `n`, `quick`; `pruning_ratio`, `seeds`, `methods`: what was asked for; `batches`: what
  was timed; `precisions`: "fp32" and, where it was timed, "int8";
- `dense`: what applies of a row (below); its `minutes` are those of its fine-tuning, 0 where it arrived trained;
- `rows`: one a method, least points lost first:
  - `method`, `paper`, `year`, `trains`, `granularity`; `asked_ratio`, None where the method takes none and its own
    bound on the score (`asked_drop_points`) alone ends its work;
  - `seeds` that came to an end, and `cells`: their run directories, in the league's folder;
  - `score`, `low`, `high`: of the validation rows; `drop_points`, `drop_low`, `drop_high`: points lost against the
    dense model, paired. With several seeds the mean, and from the lowest end to the highest of their intervals;
  - `test`: `n`, `score`, `drop_points`, `drop_low`, `drop_high` of the test rows; None where there are none;
  - `reached`: the pruning ratio, a share of what the method removes; `encoder_parameters`, `parameters`,
    `macs_share` of the dense encoder; `minutes` of search and training, `steps` of the recovery: means;
  - `speeds`: by batch size, then by precision: `ratio`, `low`, `high` over the dense model's best variant of that
    precision, `runtime`, `dense_runtime`, `latency_ms`, `score`. int8 is left out where the model's own, or the dense
    model's, loses more than a point to the same model in fp32;
  - `front`: the batch sizes at which no other row loses fewer points and is as fast, in fp32;
  - `beaten_by`: a simpler method that loses fewer points and is faster at every batch size; None where there is none.
- `untimed`: `method`, `runtime`, `precision` of what the clock left out, since no file could be made that answers
  as the model does;
- `refused`: `method`, `seed`, `sentence` of each cell that was refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from leanformer import __version__
from leanformer.budget import Target
from leanformer.job import AUTO, RUNTIME_FOLDERS
from leanformer.league.cells import Played
from leanformer.league.grid import League, contestants
from leanformer.league.ranking import beaten_by, is_on_front
from leanformer.league.timing import DENSE, Timing, first_runs, untimed
from leanformer.measure.gain import gains, variant_name
from leanformer.measure.machine import machine
from leanformer.pipeline import COMPRESS_STAGE
from leanformer.report.runtimes import lost_points
from leanformer.run import Facts

PRECISIONS = ("fp32", "int8")
SECONDS_A_MINUTE = 60.0


def standing(
    league: League, teaching: Facts, played: Sequence[Played], timing: Timing, out: Path
) -> dict[str, Any]:
    """Put the table together.

    Args:
        league: What was compared.
        teaching: Facts of the dense model's fine-tuning.
        played: The cells; one at least came to an end.
        timing: The clock's rows.
        out: The league's folder.

    Returns:
        The content of league.json.
    """
    firsts = first_runs(played)
    one: Facts = next(first.record for first in firsts.values() if first.record)
    rows = [_row([cell for cell in played if cell.cell.method.name == name], timing, out) for name in firsts]
    dense = _dense_row(one, teaching, timing)
    for row in (dense, *rows):
        row["front"] = [size for size in timing if is_on_front(row, [dense, *rows], size)]
    for row in rows:
        row["beaten_by"] = beaten_by(row, rows)
    return {
        "version": __version__,
        "created": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "command": command(league, out),
        "machine": machine(league.job.threads),
        "model": league.job.model,
        "task": one["task"],
        "metric": one["metric"],
        "n": one["n"],
        "quick": league.job.quick,
        "pruning_ratio": league.job.budget.pruning_ratio,
        "seeds": list(league.seeds),
        "methods": list(league.methods),
        "batches": list(timing),
        "precisions": [name for name in PRECISIONS if _has(timing, name)],
        "dense": dense,
        "rows": sorted(rows, key=lambda row: row["drop_points"]),
        "untimed": untimed(timing) if timing else [],
        "refused": [
            {"method": cell.cell.method.name, "seed": cell.cell.seed, "sentence": cell.refusal}
            for cell in played
            if cell.record is None
        ],
    }


def command(league: League, out: Path) -> str:
    """Return the command line that repeats a league.

    Args:
        league: The league.
        out: Its folder.

    Returns:
        A line for the shell.
    """
    plain = replace(
        league.job,
        method=AUTO,
        granularity="",
        options={},
        target=Target(),
        exports=RUNTIME_FOLDERS,
        timing=True,
    )
    words = shlex.split(plain.command(out))
    seed = words.index("--seed")
    own = ["--seeds", ",".join(map(str, league.seeds))]
    for name in () if league.methods == contestants() else league.methods:
        own += ["--method", name]
    own += [] if league.int8 else ["--no-int8"]
    own += [] if league.timing else ["--no-timing"]
    own += [] if league.trained is None else ["--trained", str(league.trained)]
    own += [] if league.limit_s is None else ["--limit", f"{league.limit_s:g}"]
    return shlex.join(["leanformer", "league", *words[2:seed], *own, *words[seed + 2 :]])


def _row(cells: Sequence[Played], timing: Timing, out: Path) -> Facts:
    """Return a method's row: means over the seeds that came to an end."""
    done = [(cell, cell.record) for cell in cells if cell.record is not None]
    (first, _), records = done[0], [record for _, record in done]
    method, budget = first.cell.method, first.cell.job.budget
    own = [record["compressed"] for record in records]
    return {
        "method": method.name,
        "paper": method.paper,
        "year": method.year,
        "trains": method.trains,
        "granularity": first.cell.job.granularity,
        "asked_ratio": budget.pruning_ratio,
        "asked_drop_points": budget.max_drop_points,
        "seeds": [cell.cell.seed for cell, _ in done],
        "cells": [str(cell.folder.relative_to(out)) for cell, _ in done],
        "score": fmean(one["score"] for one in own),
        "low": min(one["low"] for one in own),
        "high": max(one["high"] for one in own),
        **_drop([(record["drop_points"], record["drop_interval"]) for record in records]),
        "test": _test(records),
        "reached": fmean(record["pruning_ratio_reached"] for record in records),
        "encoder_parameters": fmean(one["encoder_parameters"] for one in own),
        "parameters": fmean(one["parameters"] for one in own),
        "macs_share": fmean(record["macs_share"] for record in records),
        "minutes": fmean(_seconds(record) for record in records) / SECONDS_A_MINUTE,
        "steps": fmean(record["training"].get("steps", 0) for record in records),
        "speeds": _speeds(method.name, timing),
    }


def _dense_row(record: Facts, teaching: Facts, timing: Timing) -> Facts:
    dense, test = record["dense"], record["test"]
    return {
        "method": DENSE,
        **{key: dense[key] for key in ("score", "low", "high", "encoder_parameters", "parameters")},
        **_drop([(0.0, (0.0, 0.0))]),
        "test": test and {"n": test["n"], "score": test["dense"], **_drop([(0.0, (0.0, 0.0))])},
        "reached": 0.0,
        "macs_share": 1.0,
        "minutes": teaching.get("seconds", 0.0) / SECONDS_A_MINUTE,
        "speeds": _speeds(DENSE, timing),
    }


def _drop(found: Sequence[tuple[float, Sequence[float]]]) -> Facts:
    """Return the mean of the points lost, and the interval that holds those of all seeds."""
    return {
        "drop_points": fmean(points for points, _ in found),
        "drop_low": min(interval[0] for _, interval in found),
        "drop_high": max(interval[1] for _, interval in found),
    }


def _test(records: Sequence[Facts]) -> Facts | None:
    tests = [record["test"] for record in records]
    if not all(tests):
        return None
    lost = [(100 * (test["dense"] - test["compressed"]), test["drop_interval"]) for test in tests]
    return {"n": tests[0]["n"], "score": fmean(test["compressed"] for test in tests), **_drop(lost)}


def _seconds(record: Facts) -> float:
    """Return what a cell cost: its search and its training, also one that it took over; scores are no part."""
    own = next(stage["seconds"] for stage in record["stages"] if stage["name"] == COMPRESS_STAGE)
    trainings = (record["training"], record["training"].get("policy", {}))
    return float(own + sum(one.get("taken_over", {}).get("seconds", 0.0) for one in trainings))


def _has(timing: Timing, precision: str) -> bool:
    return any(row["precision"] == precision for rows in timing.values() for row in rows)


def _speeds(model: str, timing: Timing) -> dict[str, dict[str, Facts]]:
    """Compare the fastest sound variants of a model and of the dense one, in each precision."""
    return {
        str(size): {
            precision: speed
            for precision in PRECISIONS
            if (speed := _speed(model, [row for row in rows if lost_points(row, rows) is None], precision))
        }
        for size, rows in timing.items()
    }


def _speed(model: str, sound: list[Facts], precision: str) -> Facts | None:
    here = [row for row in sound if row["precision"] == precision]
    if not {DENSE, model} <= {row["model"] for row in here}:
        return None
    (gain,) = gains(here, dense=DENSE, compressed=model).values()
    named = (model, gain.best_compressed)
    best = next(row for row in here if (row["model"], variant_name(row["runtime"], precision)) == named)
    return {
        "ratio": gain.ratio,
        "low": gain.low,
        "high": gain.high,
        "runtime": best["runtime"],
        "dense_runtime": gain.best_plain.split()[0],
        "latency_ms": best["latency_ms"],
        "score": best["score"],
    }
