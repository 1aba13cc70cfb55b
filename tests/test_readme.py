"""Commands and Python of the README and of docs/audit.md, run as they stand, with tiny models and data."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leanformer.cli.main import app
from tiny import build_model, build_rows, build_tokenizer, write_csv

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/audit.md")
MODELS, DATA = ("my-bert", "other"), "reviews"  # the names that the documents use
VERDICTS = {
    "compress": (1, 3),
    "bench": (3,),
    "check": (1,),
}  # a model so tiny may gain nothing; a clock may swing
SLOW_VERBS = ("demo",)  # needs the real MiniLM; `make demo` shows it


def blocks(document, language):
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands(document):
    """The lines that a reader would type, from the console blocks; a backslash continues a line."""
    text = "\n".join(blocks(document, "console")).replace("\\\n", " ")
    lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line[0] == "leanformer" and line[1] not in SLOW_VERBS]


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(MODELS):
        model = build_model(
            "bert", layers=1, heads=4 // (number + 1)
        )  # exported often, traced layer by layer
        model.save_pretrained(tmp_path / name)
        build_tokenizer().save_pretrained(tmp_path / name)
    (tmp_path / DATA).mkdir()
    for number, (split, rows) in enumerate((("train", 160), ("validation", 60)), start=1):
        who = ("he", "she")
        told = [
            (f"{who[place % 2]} {text}", label, who[place % 2])
            for place, (text, label) in enumerate(build_rows(rows, seed=number))
        ]
        write_csv(tmp_path / DATA / f"{split}.csv", ("sentence", "label", "sex"), told)
    (tmp_path / "wiki.txt").write_text("She is a nurse. " * 6 + "He was a guard. " * 6)
    (tmp_path / "bias").mkdir()
    ratings = [
        [f"{letter}worker", 0.0, number / 30] for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz")
    ]
    (tmp_path / "bias" / "professions.json").write_text(json.dumps(ratings))
    return tmp_path


@pytest.mark.thorough
@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_python_run_one_after_the_other(document, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda process: {0}
    )  # tiny models are slower on several threads
    monkeypatch.setattr("leanformer.measure.bench.LIMIT_S", 2.0)  # tiny models take long to settle
    monkeypatch.setattr("leanformer.measure.bench.peak_mb", lambda *variant: None)  # a process each
    if document != DOCUMENTS[0]:  # one exported file is asked; the rest of them is the README's business
        monkeypatch.setattr("leanformer.proof.installed", lambda folder: folder == "onnx")
    lines, programs = commands(document), blocks(document, "python")
    assert "compress" in [words[1] for words in lines]
    assert programs
    for words in lines:
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code in (0, *VERDICTS.get(words[1], ())), (
            f"{shlex.join(words)}\n{done.output}\n{done.exception!r}"
        )
    monkeypatch.setattr(
        "leanformer.proof.installed", lambda folder: False
    )  # the commands have exported already
    for code in programs:
        exec(compile(code, document, "exec"), {})
