"""Which verdict a process ends with."""

import pytest

from leanformer.cli.exit_codes import MISSED, NO_GAIN, exit_code

GAIN, NONE = {"gain": True}, {"gain": False}


def budget(*met):
    return {"runtime": "torch", "limits": [{"name": "speedup", "met": one} for one in met]}


@pytest.mark.parametrize(
    ("gain", "asked", "code"),
    [
        ({"1": GAIN, "8": GAIN}, budget(True, True), 0),
        ({"1": NONE, "8": GAIN}, budget(True), 0),
        ({"1": NONE, "8": NONE}, budget(True), NO_GAIN),
        ({"1": GAIN, "8": GAIN}, budget(True, False), MISSED),
        ({"1": NONE, "8": NONE}, budget(False), MISSED),
        ({"1": NONE}, None, NO_GAIN),
        ({}, None, 0),
        (None, {}, 0),
    ],
)
def test_a_missed_budget_goes_before_no_gain(gain, asked, code):
    assert exit_code(gain, asked) == code


def test_scripts_rely_on_these_numbers():
    assert (MISSED, NO_GAIN) == (1, 3)
