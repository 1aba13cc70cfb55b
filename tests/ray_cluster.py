"""A real Ray cluster on this machine, and the proof that nothing of it is left behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATIENCE_S = 240.0


@contextmanager
def ray_cluster(module: ModuleType) -> Iterator[Any]:
    """Start a head node without processors; what `module` defines travels to the nodes by value."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(module)
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the nodes find what this process finds
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 10**8})
    session = made.head_node.get_session_dir_path()
    try:
        yield made
    finally:
        made.shutdown()
        patch.undo()
        ray.cloudpickle.unregister_pickle_by_value(module)
    deadline = time.monotonic() + PATIENCE_S
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(1)
    assert not left


def processes_of(session: str) -> list[str]:
    """Return the command lines of what is left of a cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if session in words:
            found.append(words)
    return found
