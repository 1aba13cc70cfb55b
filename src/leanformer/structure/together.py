"""Several forward passes of one model that wait for each other inside it.

A fit over all calibration rows in the middle of a forward pass needs all rows at that place at the same time. One
batch of them would be padded to its longest text (four times the work on SST-2); batches of like length are not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Given = TypeVar("Given")
Taken = TypeVar("Taken")


class Together(Generic[Given, Taken]):
    """Passes that meet: each hands something in, one function answers for all, and all go on.

    One pass computes at a time, so that they do not fight for the processor's threads.

    Args:
        parties: How many passes there are.
        answer: Turns what the passes hand in, in their order, into what each gets.
    """

    def __init__(self, parties: int, answer: Callable[[list[Given]], Sequence[Taken]]) -> None:
        self._answer = answer
        self._given: list[Any] = [None] * parties
        self._taken: Sequence[Taken] = ()
        self._barrier = threading.Barrier(parties, action=self._respond)
        self._turn = threading.Lock()
        self._here = threading.local()

    def meet(self, given: Given) -> Taken:
        """Wait for the other passes; called from inside a pass.

        Args:
            given: What this pass hands in.

        Returns:
            The answer to it.
        """
        place: int = self._here.place
        self._given[place] = given
        self._turn.release()
        try:
            self._barrier.wait()
        finally:
            self._turn.acquire()
        return self._taken[place]

    def run(self, passes: Sequence[Callable[[], None]]) -> None:
        """Run the passes to their end.

        Args:
            passes: One function a pass; all must meet equally often.

        Raises:
            BaseException: What the first failing pass, or the answering function, raised.
        """
        with ThreadPoolExecutor(len(passes)) as pool:
            futures = [pool.submit(self._run_one, place, work) for place, work in enumerate(passes)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        if errors:
            raise errors[0]

    def _run_one(self, place: int, work: Callable[[], None]) -> None:
        self._here.place = place
        with self._turn:
            try:
                work()
            except BaseException:
                self._barrier.abort()  # else the others would wait for ever
                raise

    def _respond(self) -> None:
        self._taken = self._answer(list(self._given))
