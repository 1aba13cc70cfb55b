"""Errors that a user can act on: one clear sentence (what, where, what to do)."""

from __future__ import annotations


class LeanformerError(Exception):
    """Base of every error that the command line turns into one sentence and exit code 2."""

    exit_code = 2


class DataError(LeanformerError):
    """The user's data can not be used as it is."""


class ModelError(LeanformerError):
    """The user's model can not be used as it is."""


class BudgetError(LeanformerError):
    """The budget can not be met, or is not a budget."""


class RunError(LeanformerError):
    """The run directory, or the machine under it, does not allow the run."""


class LatencyError(LeanformerError):
    """The latency table is none, or lacks what is asked of it."""


def first_line(error: BaseException) -> str:
    """Shorten a library's error, so that it fits into a sentence.

    Args:
        error: The error.

    Returns:
        Its first line, or the name of its class where it says nothing.
    """
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
