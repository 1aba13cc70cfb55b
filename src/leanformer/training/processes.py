"""Which of several training processes this is: what `accelerate launch` and `torchrun` say in the environment.

One process leads: it owns the run directory, the journal, progress and standard output. The others follow: they go
through the same steps for the same numbers, take their share of each batch, and write nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from leanformer.errors import LeanformerError, RunError

Item = TypeVar("Item")

PATIENCE = timedelta(days=2)
"""How long a process waits for the others: the leader may have to compute a teacher's outputs for hours."""


def count() -> int:
    """Return how many processes train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def local_count() -> int:
    """Return how many of them share this machine's processors."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if count() > 1 else 1


def rank() -> int:
    """Return this process's number, 0 for the one that leads."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def leads() -> bool:
    """Whether this process leads: always, when it is alone."""
    return rank() == 0


def join() -> None:
    """Meet the other processes, once: gloo on processors, NCCL on GPUs. The trainer uses the same group."""
    import torch
    import torch.distributed as dist

    if count() > 1 and not dist.is_initialized():
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # gloo beside NCCL, since what is told here are Python objects in main memory.
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)


def from_leader(find: Callable[[], Item]) -> Item:
    """Let the leader find something, and tell all.

    Args:
        find: Called in the leader's process only; its answer travels, so it has to be small and plain.

    Returns:
        What the leader found, in every process.

    Raises:
        Exception: What `find` raises; the followers end.
        SystemExit: In a follower whose leader failed; the leader says why.
    """
    if count() == 1:
        return find()
    if not leads():
        failed, answer = _told(None)
        if failed:
            raise SystemExit(LeanformerError.exit_code)
        return answer
    try:
        found = find()
    except BaseException:
        _told((True, None))
        raise
    _told((False, found))
    return found


def _told(message: Any) -> Any:
    """Send the leader's message, or receive it."""
    import torch
    import torch.distributed as dist

    join()
    box = [message]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def wait_for_leader() -> None:
    """Go on when the leader comes here: what it has written by then is there for all."""
    from_leader(lambda: None)


def end_followers() -> None:
    """Leave the rest to the leader.

    Raises:
        SystemExit: In the other processes; they have done their part.
    """
    if not leads():
        raise SystemExit(0)


def share_of(batch_size: int) -> int:
    """Return how many rows of a batch each process takes.

    Args:
        batch_size: Rows of all processes together.

    Returns:
        Rows.

    Raises:
        RunError: If the batch can not be shared evenly.
    """
    if batch_size % count():
        raise RunError(
            f"a batch of {batch_size} rows can not be shared evenly by {count()} processes: start a number of "
            f"processes that divides {batch_size}"
        )
    return batch_size // count()


def gathered(mine: Item) -> list[Item]:
    """Return what every process has, in the order of their ranks.

    Args:
        mine: What this one has, small and plain.

    Returns:
        One a process.
    """
    if count() == 1:
        return [mine]
    import torch.distributed as dist

    join()
    boxes: list[Any] = [None] * count()
    dist.all_gather_object(boxes, mine)
    return boxes


@contextmanager
def leader_first() -> Iterator[bool]:
    """Let the leader do the body before the others do it.

    Yields:
        Whether this process leads.
    """
    if not leads():
        wait_for_leader()
        yield False
        return
    failed = True
    try:
        yield True
        failed = False
    finally:
        if count() > 1:
            _told((failed, None))
