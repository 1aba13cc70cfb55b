"""Candidates measured by the processes that train together: each takes its share of a round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.search.engines import Measurement
from leanformer.search.journal import Journal, Key, Unwritten
from leanformer.training import processes

if TYPE_CHECKING:
    from leanformer.search.evaluate import Judge


class ProcessPool:
    """The processes that `accelerate launch` has started; all of them go through the same search.

    Every process asks for the same keys, since all decide by the same values. A process that dies ends them all: the
    launcher sees to that, and `--resume` goes on.
    """

    def measurements(self, judge: Judge, keys: Sequence[Key]) -> Iterator[Measurement]:
        """Measure a round; see `leanformer.search.engines.Pool.measurements`."""
        together, mine = processes.count(), processes.rank()
        for start in range(0, len(keys), together):
            found = None
            if start + mine < len(keys):
                started = time.perf_counter()
                value = judge.evaluate(*keys[start + mine])
                found = Measurement(value, time.perf_counter() - started)
            yield from (one for one in processes.gathered(found) if one is not None)


def shared_journal(path: Path, name: str) -> Journal:
    """Open a search's journal: the leading process writes it, the others only know what it knows.

    Args:
        path: The file.
        name: Name of the search in it.

    Returns:
        The journal.
    """
    if processes.leads():
        journal = Journal(path, name)
        processes.from_leader(lambda: journal.known)
        return journal
    return Unwritten(processes.from_leader(dict))
