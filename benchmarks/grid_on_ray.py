"""The cells of a grid as tasks of a Ray cluster: what a cell reads travels to its node, what it finds comes back.

Every node needs the same commit of this checkout, and the data and the models, at the same paths. A node works in a
scratch folder of its own; results are written into benchmarks/results by the process that started the grid, and by no
other. A cell whose node is lost runs again elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid import RESULTS, ROOT, SCRATCH, cell_command, cell_environment, commit, log_of, say_done

RETRIES = 3
Files = dict[str, bytes]  # path below a folder -> content
OTHER_COMMIT = 3


@dataclass(frozen=True)
class Luggage:
    """What travels with a cell.

    Attributes:
        needs: Folders below the scratch folder that the cell reads.
        makes: Folders below the scratch folder that it makes and others need.
        result: Its JSON, below the results folder.
    """

    needs: tuple[str, ...]
    makes: tuple[str, ...]
    result: str


@dataclass(frozen=True)
class Ended:
    """What comes back from a cell.

    Attributes:
        code: Exit code of its process.
        log: What it printed.
        seconds: What it took.
        result: Its JSON, if it wrote one.
        made: Folder -> files.
    """

    code: int
    log: str
    seconds: float
    result: bytes | None
    made: Mapping[str, Files]


def run_cells_on_ray(
    script: str,
    names: Sequence[str],
    arguments: Sequence[str],
    threads: int,
    address: str | None,
    luggage: Callable[[str], Luggage],
) -> int:
    """Run each cell on a node with so many free processors; return how many failed."""
    from leanformer.search.ray_engine import connected

    with connected(address):
        import ray

        for module in (__name__, "grid"):  # benchmarks/ is no package that the nodes could import
            ray.cloudpickle.register_pickle_by_value(sys.modules[module])
        task = ray.remote(num_cpus=threads, max_retries=RETRIES)(run_cell_on_node)
        sent: dict[str, Any] = {}  # each folder is sent once, and a node fetches it once
        running = {}
        for name in names:
            bags = luggage(name)
            for folder in bags.needs:
                if folder not in sent:
                    sent[folder] = ray.put(packed(SCRATCH / folder))
            needs = {folder: [sent[folder]] for folder in bags.needs}
            command = cell_command(script, name, arguments)
            running[task.remote(command, threads, str(ROOT), commit(), needs, bags)] = (name, bags)
        failed = 0
        while running:
            (done, *_), _ = ray.wait(list(running))
            name, bags = running.pop(done)
            try:
                ended = ray.get(done)
            except ray.exceptions.RayError as error:  # its nodes died, one after the other
                ended = Ended(1, str(error), 0.0, None, {})
            failed += received(name, bags, ended)
        return failed


def received(name: str, bags: Luggage, ended: Ended) -> int:
    """Write what a cell has sent, its result last; return 1 if it failed."""
    log_of(name).write_text(ended.log, encoding="utf-8")
    for folder, files in ended.made.items():
        unpack(files, SCRATCH / folder)
    if ended.code == 0 and ended.result is not None:
        path = RESULTS / bags.result
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(ended.result)
        partial.replace(path)
    return say_done(name, ended.code or int(ended.result is None), ended.seconds)


def run_cell_on_node(
    command: Sequence[str],
    threads: int,
    root: str,
    wanted_commit: str,
    needs: Mapping[str, list[Any]],
    bags: Luggage,
) -> Ended:
    """Run one cell in a process of its own: the task that runs on a node."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    scratch = Path(tempfile.gettempdir()) / "leanformer-bench" / node
    results = scratch / "results"
    results.mkdir(parents=True, exist_ok=True)
    here = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    if here != wanted_commit:
        text = f"{root} on this node is at commit '{here}', not at {wanted_commit}: bring it there\n"
        return Ended(OTHER_COMMIT, text, 0.0, None, {})
    for folder, (reference,) in needs.items():
        with locked(scratch / "lock"):
            if not (scratch / folder).exists():
                unpack(ray.get(reference), scratch / folder)
    own = {"LEANFORMER_BENCH_RESULTS": str(results), "LEANFORMER_BENCH_SCRATCH": str(scratch)}
    started = time.time()
    done = subprocess.run(
        [sys.executable, *command[1:]],  # this node's Python
        cwd=root,
        env={**cell_environment(threads), **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    result = results / bags.result
    found = result.read_bytes() if done.returncode == 0 and result.exists() else None
    result.unlink(missing_ok=True)
    made = {folder: packed(scratch / folder) for folder in bags.makes if done.returncode == 0}
    return Ended(done.returncode, done.stdout, time.time() - started, found, made)


class locked:
    """Keep other cells of the same node out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Wait for the lock; the system frees it when the process ends."""
        self.file = self.path.open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        """Free the lock."""
        self.file.close()


def packed(folder: Path) -> Files:
    """Return the files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpack(files: Files, folder: Path) -> None:
    """Write files into a new folder; whole or not at all."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    for name, content in files.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
