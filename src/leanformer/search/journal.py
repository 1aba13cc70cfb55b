"""The journal of a search: every measurement, in Optuna's file storage, so that a killed search goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leanformer.search.space import Candidate

Key = tuple[Candidate, str, int]
"""A candidate, the fidelity that measured it, and on how many rows."""


class Journal:
    """Measurements by candidate and fidelity; each is an Optuna trial, written when it is made.

    The study in the file can be read with Optuna's own tools. One process writes at a time: whoever opens the
    journal mends what a killed one left.

    Args:
        path: The file; it is begun where there is none.
        name: Name of the study: one search in the file.
    """

    def __init__(self, path: Path, name: str) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        mend(path)
        storage = JournalStorage(JournalFileBackend(str(path)))
        self.study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        self.known: dict[Key, dict[str, Any]] = {}
        for trial in self.study.trials:
            facts = trial.user_attrs
            self.known[tuple(facts["candidate"]), facts["fidelity"], facts["rows"]] = {
                "value": trial.value,
                "seconds": facts["seconds"],
            }

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return an earlier measurement (value, seconds), or None."""
        return self.known.get(key)

    def record(self, key: Key, value: float, seconds: float) -> None:
        """Write a measurement.

        Args:
            key: What was measured.
            value: The divergence from the dense model; less is better.
            seconds: What measuring cost.
        """
        from optuna.trial import create_trial

        candidate, fidelity, rows = key
        facts = {"candidate": list(candidate), "fidelity": fidelity, "rows": rows, "seconds": seconds}
        self.study.add_trial(create_trial(value=value, user_attrs=facts))
        self.known[key] = {"value": value, "seconds": seconds}

    @property
    def seconds(self) -> float:
        """What all measurements cost together, earlier sessions included."""
        return sum(entry["seconds"] for entry in self.known.values())


class Unwritten(Journal):
    """A journal without a file: that of a process which measures, but does not write.

    Args:
        known: What is known already.
    """

    def __init__(self, known: Mapping[Key, dict[str, Any]] | None = None) -> None:
        self.known = dict(known or {})

    def record(self, key: Key, value: float, seconds: float) -> None:
        """Remember a measurement; see `Journal.record`."""
        self.known[key] = {"value": value, "seconds": seconds}


def mend(path: Path) -> None:
    """Cut off a last line that a kill left half-written, and a dead writer's lock.

    Args:
        path: The journal file; it may be absent.
    """
    for lock in path.parent.glob(path.name + ".lock*"):
        with contextlib.suppress(FileNotFoundError):
            lock.unlink()
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)
