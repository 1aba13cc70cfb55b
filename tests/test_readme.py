"""The README's commands and Python, run as they stand, with a tiny model and tiny data under the README's names."""

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leanformer.cli.main import app
from tiny import build_model, build_rows, build_tokenizer, write_csv

README = Path(__file__).parent.parent / "README.md"
MODEL, DATA = "my-bert", "reviews"  # the names that the README uses
VERDICTS = {
    "compress": (1, 3),
    "bench": (3,),
    "check": (1,),
}  # a model so tiny may gain nothing; a clock may swing
SLOW_VERBS = ("demo",)  # needs the real MiniLM; `make demo` shows it


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands():
    """The lines that a reader would type, from the console blocks; a backslash continues a line."""
    text = "\n".join(blocks("console")).replace("\\\n", " ")
    lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line[0] == "leanformer" and line[1] not in SLOW_VERBS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    build_model("bert", layers=1).save_pretrained(folder / MODEL)  # exported often, and traced layer by layer
    build_tokenizer().save_pretrained(folder / MODEL)
    (folder / DATA).mkdir()
    for number, (split, rows) in enumerate((("train", 120), ("validation", 60)), start=1):
        write_csv(folder / DATA / f"{split}.csv", ("sentence", "label"), build_rows(rows, seed=number))
    return folder


@pytest.mark.thorough
def test_commands_and_python_run_one_after_the_other(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda process: {0}
    )  # tiny models are slower on several threads
    monkeypatch.setattr("leanformer.measure.bench.LIMIT_S", 2.0)  # tiny models take long to settle
    monkeypatch.setattr("leanformer.measure.bench.peak_mb", lambda *variant: None)  # a process each
    lines, programs = commands(), blocks("python")
    assert "compress" in [words[1] for words in lines]
    assert any("leanformer.compress" in code for code in programs)
    for words in lines:
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code in (0, *VERDICTS.get(words[1], ())), (
            f"{shlex.join(words)}\n{done.output}\n{done.exception!r}"
        )
    monkeypatch.setattr(
        "leanformer.proof.installed", lambda folder: False
    )  # the commands have exported already
    for code in programs:
        exec(compile(code, "README.md", "exec"), {})
