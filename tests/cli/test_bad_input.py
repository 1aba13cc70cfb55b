"""Bad input: one clear sentence on standard error, exit code 2, and nothing half-written."""

import re
import shutil
from collections import namedtuple

import pytest
import torch
from transformers import GPT2Config, GPT2Model

from tiny import build_model, build_rows, build_tokenizer, write_csv

HEADER = ("sentence", "label")


def with_train(make):
    """Let a case replace the training file."""

    def prepare(folder):
        make(folder / "reviews" / "train.csv")

    return prepare


def cut_in_a_character(path):
    path.write_bytes(path.read_bytes() + b"a bad \xff\xfe row,negative\n")


def save(folder, model):
    shutil.rmtree(folder / "bert")
    model.save_pretrained(folder / "bert")
    build_tokenizer().save_pretrained(folder / "bert")


def make_pickle(folder):
    (folder / "bert" / "model.safetensors").unlink()
    torch.save({}, folder / "bert" / "pytorch_model.bin")


def make_gpt(folder):
    save(folder, GPT2Model(GPT2Config(vocab_size=120, n_positions=32, n_embd=32, n_layer=1, n_head=2)))


# name: (how the workshop is spoilt, options that differ from the good ones, what the sentence has to say)
CASES = {
    "missing file": (None, {"--data": "nowhere.csv"}, "nowhere.csv"),
    "missing model": (None, {"model": "./nowhere"}, "nowhere"),
    "unknown column": (None, {"--text": "subject"}, "'subject'.*sentence"),
    "empty file": (with_train(lambda path: path.write_text("")), {}, "train.csv is empty"),
    "one class only": (
        with_train(lambda path: write_csv(path, HEADER, [("good", "positive")] * 50)),
        {},
        "train.csv.*positive",
    ),
    "label of the wrong type": (None, {"--kind": "regression"}, "train.csv.*number"),
    "row that can not be decoded": (with_train(cut_in_a_character), {}, "train.csv.*202.*UTF-8"),
    "text longer than the model": (
        with_train(lambda path: write_csv(path, HEADER, [*build_rows(60, 1), ("good " * 90, "positive")])),
        {},
        "row 62 .*92 tokens.*64.*--truncate",
    ),
    "ratio of one": (None, {"--pruning-ratio": "1"}, r"outside \(0, 1\)"),
    "ratio of zero": (None, {"--pruning-ratio": "0"}, r"outside \(0, 1\)"),
    "ratio above one": (None, {"--pruning-ratio": "1.5"}, r"outside \(0, 1\)"),
    "unreachable ratio": (
        None,
        {"--pruning-ratio": "0.999", "--granularity": "weight", "--method": "ae-bert"},
        "can not be reached",
    ),
    "unsupported architecture": (make_gpt, {}, "gpt2.*bert.*modernbert"),
    "head of another size": (
        lambda folder: save(folder, build_model("bert", num_labels=3)),
        {},
        "3.*--finetune",
    ),
    "pickle weights only": (make_pickle, {}, "pickle.*save_pretrained"),
    "unknown method": (None, {"--method": "magic"}, "'magic'.*ae-bert"),
    "unknown engine": (None, {"--engine": "dask"}, "'dask'.*in-process or ray"),
    "address without a cluster": (None, {"--address": "10.0.0.1:6379"}, "10.0.0.1:6379.*--engine ray"),
    "unknown granularity": (None, {"--granularity": "atom"}, "'atom'.*unit"),
    "unknown metric": (None, {"--metric": "bleu"}, "'bleu'.*accuracy"),
    "more tokens than the model takes": (None, {"--max-tokens": "65"}, "64 tokens"),
    "no threads": (None, {"--threads": "0"}, "0 threads"),
    "negative seed": (None, {"--seed": "-1"}, "seed -1.*0"),
    "tokens for no text": (None, {"--max-tokens": "2"}, "--max-tokens 2 leaves no text"),
    "name that is too long": (None, {"--data": "x" * 300}, "name too long"),
    "one column as text and label": (None, {"--text": "label", "--label": "label"}, "'label'.*twice"),
    "data described but not named": (None, {"--data": None}, "--data"),
    "no model": (None, {"model": None}, "no model"),
    "job file that is missing": (None, {"--job": "job.toml"}, "job.toml"),
}


@pytest.fixture
def shop(workshop, tmp_path, monkeypatch):
    """A copy of the workshop to spoil, as the current folder."""
    for name in ("bert", "reviews"):
        shutil.copytree(workshop / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(changes):
    options = {"model": "bert", "--data": "reviews", "--out": "deep/small", "--threads": "1", **changes}
    model = options.pop("model")
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    return ["compress", *([model] if model else []), *words]


def refused(done, said):
    """The one sentence; other lines on standard error are what was understood of the data."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(errors) == 1
    assert done.stderr.splitlines()[-1] == errors[0]
    assert re.search(said, errors[0]), errors[0]


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_sentence_and_nothing_is_left(call, shop, case):
    spoil, changes, said = CASES[case]
    if spoil is not None:
        spoil(shop)
    refused(call(*arguments(changes)), said)
    assert sorted(path.name for path in shop.iterdir()) == ["bert", "reviews"]


def test_full_disk(call, shop, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 1000))
    refused(call(*arguments({})), "not enough disk.*MB")
    assert not (shop / "deep").exists()


def test_folder_that_is_not_a_run_stays_as_it_is(call, shop):
    (shop / "thesis").mkdir()
    (shop / "thesis" / "chapter.tex").write_text("precious")
    for resume in ([], ["--resume"]):
        refused(call(*arguments({"--out": "thesis"}), *resume), "thesis.*not a run")
    assert [path.name for path in (shop / "thesis").iterdir()] == ["chapter.tex"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--seed": "1"}, "seed"),
        ({"--pruning-ratio": "0.7"}, "budget.pruning_ratio"),
        ({"--method": "uniform-magnitude"}, "method"),
        ({"--data": "bert"}, "data.source"),
    ],
)
def test_run_resumed_with_another_seed_or_job(call, shop, changes, said):
    from leanformer.job import Job
    from leanformer.run import Run
    from leanformer.tasks.load import DataSpec

    Run.create(shop / "small", Job("bert", DataSpec("reviews"), threads=1).resolved(), resume=False)
    before = sorted((shop / "small").iterdir())
    refused(call(*arguments({"--out": "small", **changes}), "--resume"), f"another job.*{said}")
    assert sorted((shop / "small").iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "bert"), "add --data"),
        (("evaluate", "bert", "--text", "sentence"), "add --data"),
        (("evaluate", "bert", "--data", "reviews"), "no.* head"),
        (("bench", "bert", "--data", "reviews"), "no.* head"),
        (("export", "bert", "--format", "onnx"), "no.* head"),
        (("export", "bert", "--format", "tflite"), "'tflite'.*onnx, openvino"),
        (("export", "bert", "--int8"), "add --data"),
        (("report", "bert"), "result.json"),
        (("compress", "--resume", "--out", "smal"), "smal is not a run"),
        (("compress", "bert", "--data", "reviews", "--out", "x" * 300), "name too long"),
        (("evaluate", "bert", "--data", "reviews", "--threads", "0"), "0 threads"),
        (("evaluate", "bert", "--data", "reviews", "--threads", "-1"), "-1 threads"),
        (("evaluate", "bert", "--data", "reviews", "--max-tokens", "0"), "--max-tokens 0"),
        (("bench", "bert", "--data", "reviews", "--batch", "1", "--batch", "0"), "--batch 0"),
        (("bench", "bert", "--data", "reviews", "--rounds", "0"), "--rounds 0"),
    ],
)
def test_other_verbs_refuse_in_one_sentence_too(call, shop, words, said):
    refused(call(*words), said)
    assert sorted(path.name for path in shop.iterdir()) == ["bert", "reviews"]
    assert not (shop / "bert" / "onnx").exists()
