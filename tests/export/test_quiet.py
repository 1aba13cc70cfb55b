import logging
import os
import sys

import pytest

from leanformer.export.quiet import quietly


def chatter():
    print("from python")  # noqa: T201
    sys.stderr.write("from python's stderr\n")
    sys.stdout.flush()
    os.write(1, b"from C++\n")


def fail_after_chatter():
    chatter()
    raise RuntimeError


def test_nothing_reaches_the_terminal(capfd, caplog):
    with caplog.at_level(logging.DEBUG, logger="leanformer.export"), quietly("a stage"):
        chatter()
    seen = capfd.readouterr()
    assert seen.out == ""
    assert seen.err == ""
    assert "a stage" in caplog.text
    for words in ("from python\n", "from python's stderr", "from C++"):
        assert words in caplog.text


def test_descriptors_come_back(capfd):
    with quietly("a stage"):
        chatter()
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_a_failure_shows_what_was_said(capfd):
    with pytest.raises(RuntimeError), quietly("the export"):
        fail_after_chatter()
    seen = capfd.readouterr()
    assert seen.out == ""
    assert "the export" in seen.err
    assert "from C++" in seen.err


def test_log_handlers_made_inside_do_not_keep_the_closed_stream(monkeypatch, capsys):
    monkeypatch.setattr(logging.root, "handlers", [])
    library = logging.getLogger("a library of the exporters")
    with quietly("a stage"):
        logging.warning("the root logger makes its handler now")
        library.addHandler(logging.StreamHandler())
    assert logging.root.handlers == []
    library.warning("later")
    assert capsys.readouterr().err == "later\n"
    library.handlers.clear()
