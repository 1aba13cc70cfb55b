"""Keeping the exporters' chatter off the terminal, and off standard output, where results go."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

logger = logging.getLogger("leanformer.export")


@contextmanager
def quietly(stage: str) -> Iterator[None]:
    """Send everything that is printed, also by C++ code, to the log `leanformer.export` at level debug.

    When the block raises, what was printed is shown on standard error after all, so that nothing is hidden.

    Args:
        stage: The name under which the text is logged.

    Yields:
        Nothing.
    """
    failed = False
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as chatter:
        try:
            with redirect_stdout(chatter), redirect_stderr(chatter), _descriptors_to(chatter.fileno()):
                yield
        except BaseException:
            failed = True
            raise
        finally:
            chatter.seek(0)
            text = chatter.read().strip()
            if text:
                logger.debug("%s:\n%s", stage, text)
            if failed and text:
                sys.stderr.write(f"{stage} said before it failed:\n{text}\n")


@contextmanager
def _descriptors_to(target: int) -> Iterator[None]:
    """Point the process's descriptors 1 and 2 to another file; C++ code and old log handlers write to them."""
    saved = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in saved:
            os.dup2(target, number)
        yield
    finally:
        for number, original in saved.items():
            os.dup2(original, number)
            os.close(original)
