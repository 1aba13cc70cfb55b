"""The cells of a league, one after the other or in lanes; what is finished is read, what was interrupted goes on."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from leanformer.errors import LeanformerError
from leanformer.league.grid import Cell
from leanformer.pipeline import run_job
from leanformer.progress import bar, say
from leanformer.run import Facts
from leanformer.training.threads import LANES

if TYPE_CHECKING:
    from leanformer.search.engines import Engine


@dataclass(frozen=True)
class Played:
    """A cell that came to an end.

    Attributes:
        cell: The cell.
        folder: Its run directory.
        record: The content of its result.json; None where it was refused.
        refusal: The sentence of the refusal; empty where there was none.
    """

    cell: Cell
    folder: Path
    record: Facts | None
    refusal: str = ""


def play_cells(
    cells: Sequence[Cell], folder: Path, engine: Engine | None = None, lanes: int = 1
) -> list[Played]:
    """Run every cell.

    Args:
        cells: The cells.
        folder: Where their run directories lie.
        engine: Who measures the searches' candidates; the cell's own process by default.
        lanes: How many cells run side by side, each in a process of its own with its share of the threads where
            there are several.

    Returns:
        What came of each, in the same order. A refusal ends its cell only; with `--resume` it is tried again, since
        it costs little and the reason may be gone.
    """
    if lanes > 1:
        return _in_lanes(cells, folder, lanes)
    played = []
    with bar() as progress:
        shown = progress.add_task("League", total=len(cells))
        for cell in cells:
            progress.update(shown, description=f"League: {cell.name}")
            say(f"{cell.name}:")
            played.append(_played(cell, folder / cell.name, engine))
            progress.advance(shown)
        progress.update(shown, description="League")
    return played


def _played(cell: Cell, folder: Path, engine: Engine | None) -> Played:
    try:
        return Played(cell, folder, run_job(cell.job, folder, resume=True, engine=engine))
    except LeanformerError as refused:
        say(f"{cell.name} is left out: {refused}")
        return Played(cell, folder, None, str(refused))


def _in_lanes(cells: Sequence[Cell], folder: Path, lanes: int) -> list[Played]:
    """Run cells side by side; the bar is the only thing that is shown of them."""
    fresh = multiprocessing.get_context("spawn")  # a GPU's driver does not survive a fork
    with bar() as progress, ProcessPoolExecutor(lanes, fresh, _begin_lane, (lanes,)) as pool:
        shown = progress.add_task(f"League, {lanes} lanes", total=len(cells))
        running = {pool.submit(_played, cell, folder / cell.name, None): cell for cell in cells}
        try:
            found = {}
            for future in as_completed(running):
                one = found[running[future].name] = future.result()
                said = f"left out: {one.refusal}" if one.refusal else "done"
                say(f"{one.cell.name}: {said}")
                progress.advance(shown)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[cell.name] for cell in cells]


def _begin_lane(lanes: int) -> None:
    """Take a share of the threads, and say nothing: bars of several processes would run into each other."""
    os.environ |= {LANES: str(lanes), "LEANFORMER_QUIET": "1"}
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this lane when the league is killed: its cell would go on, beside the lane that resumes it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
