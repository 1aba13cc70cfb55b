"""Progress for people: bars and lines on standard error, so that standard output stays for results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Item = TypeVar("Item")


@cache
def console() -> Console:
    """Return the one console of the process; it writes to standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def is_quiet() -> bool:
    """Whether the user asked for silence with LEANFORMER_QUIET=1, or another process of a launcher speaks for all."""
    return os.environ.get("LEANFORMER_QUIET", "") not in ("", "0") or os.environ.get("RANK", "0") != "0"


def say(text: str) -> None:
    """Print one line for the person who waits.

    Args:
        text: The line; rich markup is not interpreted.
    """
    if not is_quiet():
        console().print(text, markup=False)


def bar() -> Progress:
    """Return a progress bar that names its stage and shows count, elapsed and remaining time."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console(),
        disable=is_quiet(),
    )


def track(items: Iterable[Item], stage: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items under a progress bar that names the stage.

    Args:
        items: What to go through.
        stage: The name shown before the bar.
        total: How many there are, where `items` has no length.

    Yields:
        The items, in order.
    """
    with bar() as progress:
        known = total if total is not None else getattr(items, "__len__", lambda: None)()
        task = progress.add_task(stage, total=known)
        for item in items:
            yield item
            progress.advance(task)
