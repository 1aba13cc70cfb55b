"""The cells of a league, run one after the other; what is finished is read, what was interrupted goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.errors import LeanformerError
from leanformer.league.grid import Cell
from leanformer.pipeline import run_job
from leanformer.progress import bar, say
from leanformer.run import Facts

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


def play_cells(cells: Sequence[Cell], folder: Path, engine: Engine | None = None) -> list[Played]:
    """Run every cell.

    Args:
        cells: The cells.
        folder: Where their run directories lie.
        engine: Who measures the searches' candidates; this process by default.

    Returns:
        What came of each, in the same order. A refusal ends its cell only; with `--resume` it is tried again, since
        it costs little and the reason may be gone.
    """
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
