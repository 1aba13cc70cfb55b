"""Passes that meet: each gets its own answer, one runs at a time, and a failure ends all of them."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from leanformer.structure.together import Together


def test_each_pass_gets_its_own_answer_at_each_meeting():
    def ranks(given):
        return [(value, sum(given)) for value in given]

    together: Together = Together(3, ranks)
    seen: dict[int, list] = {}

    def work(number):
        seen[number] = [together.meet(10 * number), together.meet(number)]

    together.run([partial(work, number) for number in range(3)])
    assert seen == {number: [(10 * number, 30), (number, 3)] for number in range(3)}


def test_one_pass_computes_at_a_time():
    together: Together = Together(4, list)
    inside = threading.Lock()

    def work():
        for _ in range(3):
            assert inside.acquire(blocking=False)
            time.sleep(0.005)
            inside.release()
            together.meet(1)

    together.run([work] * 4)


@pytest.mark.parametrize("where", ["a pass", "the answer"])
def test_a_failure_ends_all_passes(where):
    def answer(given):
        if where == "the answer":
            raise KeyError("no answer")
        return given

    together: Together = Together(3, answer)

    def work(number):
        if where == "a pass" and number == 1:
            raise KeyError("no pass")
        together.meet(number)

    with pytest.raises(KeyError, match="no "):
        together.run([partial(work, number) for number in range(3)])
