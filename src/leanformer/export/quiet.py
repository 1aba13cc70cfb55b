"""Keeping the exporters' chatter off the terminal, and off standard output, where results go."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

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
            _release_handlers(chatter)
            chatter.seek(0)
            text = chatter.read().strip()
            if text:
                logger.debug("%s:\n%s", stage, text)
            if failed and text:
                sys.stderr.write(f"{stage} said before it failed:\n{text}\n")


def _release_handlers(stream: TextIO) -> None:
    """Take a stream that is about to close out of the log handlers that were made while it stood for stderr."""
    named = [
        logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)
    ]
    for logger in (logging.root, *named):
        for handler in [one for one in logger.handlers if getattr(one, "stream", None) is stream]:
            if logger is logging.root:  # made by logging.warning(), which makes a new one when it needs it
                logger.removeHandler(handler)
            elif isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)


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
