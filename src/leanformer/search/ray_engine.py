"""Candidates measured on the machines of a Ray cluster.

What a judge needs (the dense model, moments, the dense residual stream, held-out rows and the dense answers on them)
is put into Ray's object store once; a node fetches it once, each of its worker processes builds one judge of it. A
candidate is a task: when its worker or its node is lost, Ray runs that task again elsewhere. The journal stays with
the process that searches (`leanformer.search.engines.Pooled`). On the wire Ray serialises as it always does; we write
no pickle files.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from leanformer.errors import LeanformerError, RunError, first_line
from leanformer.export.extras import require
from leanformer.gpu import fastest_device
from leanformer.search.engines import Measurement
from leanformer.search.journal import Key

if TYPE_CHECKING:
    from leanformer.search.evaluate import Judge

RETRIES = 3
"""How many workers a candidate may lose before the search gives up: one that always dies takes too much memory."""

KNOCK_S = 10.0
LOOK_S = 5.0
PATIENCE_S = 60.0
"""How long a cluster may be without a node that could do the work: nodes are replaced."""

Facts = dict[str, str]
_judge: tuple[str, Any] | None = None  # of a worker: the id of what it was sent, and the judge


@contextmanager
def connected(address: str | None = None) -> Iterator[RayPool]:
    """Connect to a cluster for one run; a connection that is there already is used, and left open.

    Args:
        address: "HOST:PORT" of the head node, "ray://HOST:PORT", or "auto" for the cluster that this machine is part
            of; by default what RAY_ADDRESS says, or "auto".

    Yields:
        The workers.

    Raises:
        LeanformerError: If Ray is not installed.
        RunError: If no cluster answers.
    """
    require("ray")
    import ray

    if ray.is_initialized():
        yield RayPool()
        return
    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    _knock(where)
    try:
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise RunError(_no_answer(where, first_line(error))) from error
    try:
        yield RayPool()
    finally:
        ray.shutdown()


def _knock(where: str) -> None:
    """Refuse an address where nothing listens: Ray itself would try for minutes."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if where == "auto":
        return
    if not host or not port.isdigit():
        raise RunError(f"--address {where} is not HOST:PORT: give the address that ray start --head printed")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise RunError(_no_answer(where, first_line(error))) from error


def _no_answer(where: str, why: str) -> str:
    return (
        f"no Ray cluster answers at {where} ({why}): begin one with ray start --head, and give the address that it "
        "prints as --address"
    )


def package_facts() -> Facts:
    """Return what has to be alike on all machines, so that a candidate measures the same wherever it is measured."""
    import torch
    import transformers

    from leanformer import __version__
    from leanformer.training.teacher import has_fast_bfloat16

    return {
        "leanformer": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "fast bfloat16": str(has_fast_bfloat16()),
    }


class RayPool:
    """The workers of the cluster that this process is connected to."""

    def __init__(self) -> None:
        self._sent: tuple[Judge, Any] | None = None

    def measurements(self, judge: Judge, keys: Sequence[Key]) -> Iterator[Measurement]:
        """Measure a round; see `leanformer.search.engines.Pool.measurements`."""
        import ray
        import torch

        threads, on_gpu = torch.get_num_threads(), fastest_device().type == "cuda"
        task = ray.remote(num_cpus=threads, num_gpus=int(on_gpu), max_retries=RETRIES)(measure_on_worker)
        parcel, facts = self._parcel(judge), package_facts()
        # In a list, Ray hands the reference on as it is; the worker fetches it once, not once a task.
        running = [task.remote([parcel], key, threads, facts) for key in keys]
        try:
            for reference in running:
                yield self._result(reference, threads)
        finally:
            for reference in running:
                ray.cancel(reference)  # does nothing to what is finished

    def _parcel(self, judge: Judge) -> Any:
        import ray

        if self._sent is None or self._sent[0] is not judge:
            self._sent = (judge, ray.put(judge.parcel()))
        return self._sent[1]

    @staticmethod
    def _result(reference: Any, threads: int) -> Measurement:
        import ray

        without_room_since: float | None = None
        while not ray.wait([reference], timeout=LOOK_S)[0]:
            if _has_room(threads):
                without_room_since = None
                continue
            without_room_since = without_room_since or time.monotonic()
            if time.monotonic() - without_room_since > PATIENCE_S:
                raise RunError(
                    f"no node of the Ray cluster has {threads} processors: add nodes and go on with --resume, or "
                    "give fewer --threads to a new run"
                )
        try:
            found: Measurement = ray.get(reference)
        except (
            ray.exceptions.RayTaskError
        ) as error:  # what the task raised; the search would have raised it here
            raise _told(error) from error
        except ray.exceptions.RayError as error:
            raise RunError(
                f"a candidate lost {RETRIES + 1} workers of the Ray cluster, one after the other "
                f"({first_line(error)}): look for nodes with too little memory, and go on with --resume"
            ) from error
        return found


def _has_room(threads: int) -> bool:
    """Whether a node that is alive has so many processors, be they busy or not."""
    import ray

    return any(node["Alive"] and node["Resources"].get("CPU", 0) >= threads for node in ray.nodes())


def _told(error: Any) -> BaseException:
    """Return what to raise for an error on a worker: our own sentence where there is one."""
    cause: BaseException = error.cause
    if isinstance(cause, LeanformerError):
        return RunError(str(cause))
    if isinstance(cause, ImportError) or "failed to import" in str(error):
        return RunError(
            f"a node of the Ray cluster can not import what measuring needs ({first_line(cause)}): install "
            "leanformer there, in the environment that ray start was called from"
        )
    told: BaseException = error
    return told


def measure_on_worker(parcel: list[Any], key: Key, threads: int, facts: Facts) -> Measurement:
    """Measure one candidate: the task that runs on the cluster.

    Args:
        parcel: A reference to the judge that the search has sent.
        key: The candidate, the fidelity and the rows.
        threads: Processor threads; as many as the search has, since sums depend on how they are split.
        facts: The packages of the search.

    Returns:
        The measurement.

    Raises:
        RunError: If this machine's packages are not the search's.
    """
    import torch

    mine = package_facts()
    if different := [name for name in facts if facts[name] != mine[name]]:
        shown = ", ".join(f"{name} {mine[name]}, not {facts[name]}" for name in different)
        raise RunError(f"node {socket.gethostname()} of the Ray cluster has {shown}: make the machines alike")
    torch.set_num_threads(threads)
    judge = _judge_of(parcel[0])
    started = time.perf_counter()
    value = judge.evaluate(*key)
    return Measurement(value, time.perf_counter() - started)


def _judge_of(reference: Any) -> Judge:
    """Return the judge that was sent; a worker process keeps the last one."""
    global _judge
    import ray

    if _judge is None or _judge[0] != reference.hex():
        _judge = (reference.hex(), ray.get(reference))
    judge: Judge = _judge[1]
    return judge
