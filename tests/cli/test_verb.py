"""What all verbs share."""

import json
import os
import subprocess
import sys

import pytest

NOISY = """
import ctypes, os, typer
from leanformer.cli.verb import Answer, verb

@verb
def noisy(fail: bool = False) -> Answer:
    "Print from everywhere."
    print("from Python")
    os.write(1, b"from the descriptor\\n")
    os.system("echo from a child")
    ctypes.CDLL(None).printf(b"from C, buffered\\n")
    if fail:
        raise {error}
    return Answer({{"answer": 42}}, "forty-two", exit_code={code})

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(noisy)
app()
"""
NOISES = ("from Python", "from the descriptor", "from a child", "from C, buffered")


def noisy(*words, error="KeyboardInterrupt", code=0):
    command = [sys.executable, "-c", NOISY.format(error=error, code=code), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_is_alone_on_standard_output():
    done = noisy("--json")
    assert json.loads(done.stdout) == {"answer": 42}
    assert all(noise in done.stderr for noise in NOISES)


def test_json_does_not_depend_on_the_encoding_of_the_terminal():
    words = [sys.executable, "-c", NOISY.format(error="OSError", code=0).replace("42}", "'🎬'}"), "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert json.loads(done.stdout) == {"answer": "🎬"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ENOSPC", "No space left on device"),
        ("EACCES", "Permission denied"),
        ("EROFS", "Read-only file system"),
    ],
)
def test_what_the_machine_refuses_is_one_sentence_too(code, message):
    done = noisy("--fail", error=f"OSError(__import__('errno').{code}, '{message}', 'small/model')")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"error: small/model: {message}: make room, or name another place"


def test_people_get_the_table():
    assert noisy().stdout.strip() == "forty-two"


def test_a_verdict_has_its_own_exit_code_and_is_printed_all_the_same():
    done = noisy("--json", code=3)
    assert (done.returncode, json.loads(done.stdout)) == (3, {"answer": 42})


def test_what_a_user_can_mend_is_one_sentence_and_exit_code_2():
    done = noisy("--fail", "--json", error="__import__('leanformer').LeanformerError('the cat is out')")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "error: the cat is out"


def test_interrupt_of_what_can_not_be_resumed_gives_no_such_hint():
    done = noisy("--fail")
    assert done.returncode == 130
    assert "interrupted" in done.stderr
    assert "--resume" not in done.stderr


def test_mistake_of_ours_is_not_hidden():
    done = noisy("--fail", error="ValueError('a bug')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
