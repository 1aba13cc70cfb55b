"""The command line in this process, and one finished run that several tests look at."""

import json
from pathlib import Path

import pytest
import torch
from cli_process import leanformer
from transformers import AutoModel
from typer.testing import CliRunner

from leanformer.cli.exit_codes import exit_code
from leanformer.cli.main import app
from tiny import build_config, build_rows, build_tokenizer, write_csv


@pytest.fixture
def call():
    """call("evaluate", ...) -> exit code, standard output, standard error."""

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Path:
    """A folder with a tiny headless bert ("bert") and a tiny task with a test file ("reviews")."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "reviews").mkdir()
    for number, (split, rows) in enumerate((("train", 200), ("validation", 60), ("test", 40)), start=1):
        write_csv(folder / "reviews" / f"{split}.csv", ("sentence", "label"), build_rows(rows, seed=number))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(build_config("bert")).save_pretrained(folder / "bert")
    build_tokenizer().save_pretrained(folder / "bert")
    return folder


@pytest.fixture(scope="session")
def finished(workshop) -> dict:
    """What `leanformer compress --json` printed for a run with exports in workshop/small; standard error too."""
    arguments = ("bert", "--data", "reviews", "--method", "ae-bert", "--out", "small", "--quick")
    arguments += ("--threads", 1, "--limit", 1, "--json")
    done = leanformer("compress", *arguments, folder=workshop)
    record = json.loads(done.stdout)
    assert done.returncode == exit_code(record["gain"], record["budget"]), (
        done.stderr
    )  # a model so tiny may gain nothing
    return {"folder": workshop / "small", "record": record, "said": done.stderr}
