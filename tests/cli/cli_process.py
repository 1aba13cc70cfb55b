"""The command line in a process of its own, as a user has it."""

import os
import subprocess
import sys


def leanformer(*arguments, folder):
    """Run a command in a folder and return the finished process."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def started(*arguments, folder):
    """Start a command in a folder, to be killed."""
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def command(*arguments):
    """Return the words that start leanformer with these arguments."""
    return [sys.executable, "-m", "leanformer", *map(str, arguments)]


def environment():
    """Return the tests' environment (offline, one thread) without its silence."""
    return {name: value for name, value in os.environ.items() if name != "LEANFORMER_QUIET"}
