"""The command line as a whole: quick, helpful, and clean on standard output."""

import json
import re
import resource
import subprocess
import sys

import pytest
from cli_process import leanformer

from leanformer import __version__

VERBS = (
    "demo",
    "compress",
    "league",
    "evaluate",
    "audit",
    "debias",
    "export",
    "bench",
    "check",
    "methods",
    "report",
)
HEAVY = ("torch", "transformers", "datasets", "optuna", "numpy", "openvino", "onnxruntime", "sklearn")


def test_help_is_quick_and_loads_nothing_heavy():
    code = f"import sys; from leanformer.cli.main import app; print([m for m in {HEAVY} if m in sys.modules])"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert done.stdout.strip() == "[]"
    assert seconds < 0.5  # of this process's own time: other work on the machine does not count


@pytest.mark.parametrize("verb", ["measure", "show", "export", "import"])
def test_every_verb_of_latency_explains_itself(call, verb):
    assert "latency" in call("--help").stdout
    assert verb in call("latency", "--help").stdout
    assert "--json" in call("latency", verb, "--help").stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(call, verb):
    assert verb in call("--help").stdout
    done = call(verb, "--help")
    assert done.exit_code == 0
    assert "--json" in done.stdout


def test_version(call):
    assert call("--version").stdout.strip() == __version__


def test_methods_as_json(call):
    methods = json.loads(call("methods", "--json").stdout)
    assert {"name", "paper", "year"} <= set(methods[0])
    assert "ae-bert" in [method["name"] for method in methods]


@pytest.mark.parametrize("name", ["movement", "debias-movement", "fair-distillation"])
def test_one_method_says_what_its_paper_states_and_what_is_ours(call, name):
    text = " ".join(call("methods", name).stdout.split())
    assert re.search("What (the papers? and (its|their)|its) code states?", text)
    assert "Ours:" in text


def test_an_option_without_a_usual_path_asks_for_one(call):
    text = " ".join(call("methods", "fastbert").stdout.split())
    assert "--option trained=PATH: folder" in text
    assert "--option confidence=0.95: that" in text


def test_a_method_as_json_has_its_account(call):
    record = json.loads(call("methods", "movement", "--json").stdout)
    assert record["cost"].startswith("one recovery")
    assert "Ours:" in record["account"]


def test_methods_for_people(call):
    assert "arXiv 2206.10461" in " ".join(call("methods").stdout.split())


def test_unknown_option_is_refused_with_a_hint(call):
    done = call("compress", "bert", "--pruning-ration", "0.5")
    assert done.exit_code == 2
    assert "--pruning-ratio" in done.stderr
    assert done.stdout == ""


def test_module_is_the_command(tmp_path):
    assert leanformer("--version", folder=tmp_path).stdout.strip() == __version__
