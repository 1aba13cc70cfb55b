"""`python -m leanformer` is the command `leanformer`."""

from __future__ import annotations

import runpy
import sys

import pytest

import leanformer


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["leanformer", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("leanformer.__main__", run_name="__main__")
    assert ended.value.code == 0
    assert leanformer.__version__ in capsys.readouterr().out
