"""The run directory: one folder that holds a job, its stages and everything they made.

Each artefact is written under a temporary name and renamed, then its stage is noted in log.jsonl. So a run that was
killed at any point holds whole artefacts only, and `--resume` goes on with the first stage that is not noted.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leanformer.errors import LeanformerError, RunError
from leanformer.job import Job
from leanformer.progress import say

JOB_FILE = "job.toml"
LOG_FILE = "log.jsonl"
ARTEFACTS = (
    *(JOB_FILE, LOG_FILE, "result.json", "contract.json", "report.html"),
    *("data", "teacher", "search", "model", "model/README.md", "onnx", "openvino"),
)
Facts = dict[str, Any]


def is_run(folder: Path) -> bool:
    """Whether the folder is a run directory."""
    return (folder / JOB_FILE).is_file()


class Run:
    """A run directory.

    A kind of run of its own says in a subclass what its job's file is called, how that is read, and which artefacts
    there are.

    Attributes:
        job_file: What the job's file is called.
        artefacts: What a run leaves.

    As a context manager it removes what it has just created when the run is refused before its first stage is done.

    Args:
        folder: The directory.
        job: What it was started with.
        created: The folders that were made for it now, the innermost first; None if it was there before.
    """

    job_file: str = JOB_FILE
    artefacts: tuple[str, ...] = ARTEFACTS

    def __init__(self, folder: Path, job: Any, created: tuple[Path, ...] | None = None) -> None:
        self.folder = folder
        self.job: Job = job
        self._created = created
        self._log = _read_log(folder / LOG_FILE)

    @classmethod
    def create(cls, folder: Path, job: Any, resume: bool) -> Self:
        """Start a run in a new or empty folder, or go on with an interrupted one.

        Args:
            folder: Where the run lives.
            job: The resolved job; it can write itself as TOML and tell its differences, as `Job` does.
            resume: Whether to go on with the run that the folder holds, if any.

        Returns:
            The run.

        Raises:
            RunError: If the folder holds something else, holds a run and `resume` is not given, or was started
                with another job or seed.
        """
        if (folder / cls.job_file).is_file():
            return cls._resumed(folder, job, resume)
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file: give --out a folder that does not exist yet")
        if folder.exists() and any(item.name != cls._begun() for item in folder.iterdir()):
            raise RunError(f"{folder} exists and is not a run of leanformer: give --out another folder")
        created = _make_folder(folder)
        with cls(folder, job, created) as run:  # removed again where the disk is full
            run.write(cls.job_file, job.to_toml())
        return run

    @classmethod
    def _begun(cls) -> str:
        """Return all that a kill before the job was written whole leaves."""
        return f".{cls.job_file}.partial"

    @classmethod
    def _resumed(cls, folder: Path, job: Any, resume: bool) -> Self:
        if not resume:
            raise RunError(
                f"{folder} holds a run already: add --resume to go on with it, or give another --out"
            )
        run = cls.open(folder)
        if differences := run.job.differences(job):
            raise RunError(
                f"{folder} was started with another job, it differs in {', '.join(differences)}: "
                "resume with the same settings, or give another --out"
            )
        for leftover in folder.glob(".*.partial"):
            _remove(leftover)
        return run

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an existing run to read it.

        Args:
            folder: The run directory.

        Returns:
            The run.

        Raises:
            RunError: If the folder is not a run directory.
        """
        if not (folder / cls.job_file).is_file():
            raise RunError(f"{folder} is not a run of leanformer: it has no {cls.job_file}")
        return cls(folder, cls.read_job(folder / cls.job_file))

    @classmethod
    def read_job(cls, path: Path) -> Any:
        """Read the job of this kind of run from its file."""
        return Job.from_toml(path)

    def __enter__(self) -> Self:
        """Enter the run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing half-written behind a refusal, be it ours or the machine's."""
        if self._created is None or self._log:
            return
        begun = any(item.name not in (self.job_file, self._begun()) for item in self.folder.iterdir())
        if isinstance(error, LeanformerError) or (isinstance(error, OSError) and not begun):
            for item in self.folder.iterdir():
                _remove(item)
            for folder in self._created:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def artefact(self, name: str) -> Path:
        """Return the path of one of the run's artefacts, whether it exists yet or not.

        Args:
            name: One of the `artefacts` of this kind of run.

        Returns:
            The path.

        Raises:
            KeyError: If runs have no such artefact.
        """
        if name not in self.artefacts:
            raise KeyError(name)
        return self.folder / name

    def require_disk(self, needed_mb: float) -> None:
        """Refuse a run that would fill the disk.

        Args:
            needed_mb: What the run will write, in megabytes (10**6 bytes).

        Raises:
            RunError: If less is free.
        """
        free_mb = shutil.disk_usage(self.folder).free / 1e6
        if free_mb < needed_mb:
            raise RunError(
                f"not enough disk under {self.folder}: the run needs about {needed_mb:,.0f} MB and "
                f"{free_mb:,.0f} MB are free; make room or give --out another disk"
            )

    def stage(self, name: str, work: Callable[[Path], Facts], artefact: str | None = None) -> Facts:
        """Do a stage once: a resumed run returns the noted facts instead.

        Args:
            name: The stage, for people and for the log.
            work: Does the stage. It is given a path to write the artefact to, and returns facts that JSON can hold.
            artefact: What the written file or folder is renamed to when the work is done; None if the stage
                writes nothing.

        Returns:
            The facts of the stage, as JSON gives them back.
        """
        noted = self.finished(name)
        if noted is not None:
            say(f"{name}: done before")
            return noted
        temporary = self.folder / f".{artefact or name}.partial"
        _remove(temporary)
        started = time.perf_counter()
        try:
            facts = work(temporary)
            if artefact is not None:
                _replace(temporary, self.artefact(artefact))
        finally:
            _remove(temporary)  # still there after an error only
        return self._note(name, time.perf_counter() - started, facts)

    def finished(self, name: str) -> Facts | None:
        """Return the facts of a stage that is done; None if it is not."""
        facts: Facts | None = next((line["facts"] for line in self._log if line["stage"] == name), None)
        return facts

    def stages(self) -> list[dict[str, Any]]:
        """Return the name and the seconds of every finished stage, in order."""
        return [{"name": line["stage"], "seconds": line["seconds"]} for line in self._log]

    def write(self, name: str, text: str) -> Path:
        """Write a text artefact as a whole.

        Args:
            name: One of the `artefacts` of this kind of run.
            text: Its content.

        Returns:
            Its path.
        """
        target = self.artefact(name)
        temporary = target.with_name(f".{target.name}.partial")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        return target

    def _note(self, name: str, seconds: float, facts: Facts) -> Facts:
        line = {
            "stage": name,
            "seconds": round(seconds, 3),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        text = json.dumps({**line, "facts": facts}, ensure_ascii=False)
        with self.artefact(LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._log.append(json.loads(text))
        noted: Facts = self._log[-1]["facts"]
        return noted


def _read_log(path: Path) -> list[dict[str, Any]]:
    """Return the noted stages; a last line that a kill cut short is taken off the file."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        os.truncate(path, len(whole.encode()))
    return [json.loads(line) for line in whole.split("\n")[:-1]]


def _make_folder(folder: Path) -> tuple[Path, ...]:
    """Create the folder and its parents; return it and the parents that did not exist, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"the folder {folder} can not be made: {error.strerror}; give another --out"
        ) from error
    return tuple(missing)


def _replace(temporary: Path, target: Path) -> None:
    """Rename an artefact into its place; one whose stage was not noted before a kill is thrown away."""
    _remove(target)
    os.replace(temporary, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
