"""A league from the dense model to the page; what is finished is never done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.errors import RunError
from leanformer.league.cells import play_cells
from leanformer.league.grid import CELLS, DENSE, League
from leanformer.league.standing import standing
from leanformer.league.timing import time_models
from leanformer.pipeline import fine_tune_dense
from leanformer.report.league_page import league_page
from leanformer.report.pages import write_whole
from leanformer.training import processes

if TYPE_CHECKING:
    from leanformer.search.engines import Engine

RECORD, PAGE = "league.json", "league.html"


def play(
    league: League, out: Path, resume: bool = False, engine: Engine | None = None, lanes: int = 1
) -> dict[str, Any]:
    """Play a league, or what an interrupted one has left to do.

    The folder then holds `dense` (the run that has fine-tuned the dense model), `cells` (one run each, which can be
    looked at and repeated like any other), `exports` and `timing` (what the clock needed and what it found),
    league.json and league.html. With `resume` there may be more methods and seeds than before: only these are run,
    and all models are timed again.

    Args:
        league: What is to be compared.
        out: Where it all lands.
        resume: Whether to go on with the league that `out` holds, if any.
        engine: Who measures the searches' candidates; this process by default.
        lanes: How many cells run side by side; the minutes in the table then count what they took from each other.

    Returns:
        The content of league.json, see `leanformer.league.standing`.

    Raises:
        LeanformerError: If the data, the dense model or the folder can not be used. A cell that is refused is a row
            with its sentence instead.
    """
    if processes.count() > 1:
        raise RunError("a league runs in one process: start it without a launcher")
    _check(out)
    other = None if league.trained is None else league.trained / DENSE
    teaching = fine_tune_dense(league.job, out / DENSE, resume, other)
    dense = (out / DENSE / "teacher").resolve()
    played = play_cells(league.cells(dense), out / CELLS, engine, lanes)
    if not any(one.record for one in played):
        raise RunError(f"no method came to an end: {played[0].refusal}")
    timing = time_models(league, dense, played, out) if league.timing else {}
    record = standing(league, teaching, played, timing, out)
    write_whole(out / RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    write_whole(out / PAGE, league_page(record))
    return record


def _check(out: Path) -> None:
    """Refuse a folder that holds something else; whether it holds another league, its dense run will say."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file: give --out a folder that does not exist yet")
    if out.exists() and not (out / DENSE).is_dir() and any(out.iterdir()):
        raise RunError(f"{out} exists and is not a league: give --out another folder")
