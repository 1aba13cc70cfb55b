"""Shared fixtures: tiny models, a tiny tokenizer and a tiny task; offline, seeded, on one thread."""

from __future__ import annotations

import os

os.environ["LEANFORMER_QUIET"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from leanformer.reading import Reading
from leanformer.tasks.encode import encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.task import Task
from tiny import (
    MAX_TOKENS,
    build_config,
    build_model,
    build_rows,
    build_sentences,
    build_squad,
    build_tokenizer,
    encode_rows,
    write_conll,
    write_csv,
    write_squad,
)

torch.set_num_threads(1)


# files that share a costly fixture of the session: a finished run, and a model that is exported
RUN = ("cli/test_compress.py", "cli/test_check_verb.py")
EXPORTED = ("exported_forms", "exporters", "int8_onnx", "int8_openvino", "parity", "quantise", "runtimes")
EXPORTED += ("sublayers",)
SHARING = {f"tests/{file}": "run" for file in RUN}
SHARING |= {f"tests/export/test_{name}.py": "exported" for name in EXPORTED}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile` one worker runs a file from end to end, or all files of `SHARING` together."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class BySharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return SHARING.get(file, file)

    return BySharing(config, log)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Latency tables of tiny models do not belong into the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerBase:
    """A WordPiece tokenizer that reloads with AutoTokenizer after save_pretrained; 64 tokens at most."""
    return build_tokenizer()


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., PreTrainedModel]:
    """The factory tiny_model(family, num_labels=2, layers=2, hidden=32, heads=4, width=64)."""
    return build_model


@pytest.fixture(scope="session")
def mood_task() -> Task:
    """The task of `build_rows`: negative or positive, scored by accuracy."""
    return Task("mood", "classification", pair=False, labels=("negative", "positive"), metric="accuracy")


@pytest.fixture(scope="session")
def mood_train(tiny_tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """128 encoded training rows of `mood_task`."""
    return encode_rows(build_rows(128, seed=3), tiny_tokenizer)


@pytest.fixture(scope="session")
def mood_held_out(tiny_tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """48 encoded rows of `mood_task` besides the training rows."""
    return encode_rows(build_rows(48, seed=4), tiny_tokenizer)


@pytest.fixture
def tiny_task(tmp_path: Path) -> Path:
    """A folder with train.csv (200 rows) and validation.csv (60 rows): binary, learnable from the words."""
    folder = tmp_path / "tiny_task"
    folder.mkdir()
    write_csv(folder / "train.csv", ("sentence", "label"), build_rows(200, seed=1))
    write_csv(folder / "validation.csv", ("sentence", "label"), build_rows(60, seed=2))
    return folder


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """A folder with train.conll (120 sentences) and validation.conll (40): two types, learnable from the words."""
    folder = tmp_path / "tagged"
    folder.mkdir()
    write_conll(folder / "train.conll", build_sentences(120, seed=1))
    write_conll(folder / "validation.conll", build_sentences(40, seed=2))
    return folder


@pytest.fixture
def tagged_rows(tagged: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The encoded training rows of `tagged`."""
    return encode(load_data(DataSpec(str(tagged))).train, tiny_tokenizer, MAX_TOKENS, truncate=False)


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    """A folder with train.json (20 articles, 120 questions) and validation.json (40): learnable from the words."""
    folder = tmp_path / "squad"
    folder.mkdir()
    write_squad(folder / "train.json", build_squad(20, seed=1))
    write_squad(folder / "validation.json", build_squad(4, seed=2, paragraphs=5))
    return folder


@pytest.fixture
def squad_rows(squad: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The encoded training questions of `squad`, in strides of 24 tokens."""
    return encode(load_data(DataSpec(str(squad))).train, tiny_tokenizer, 24, truncate=False)


@pytest.fixture
def tiny_model_folder(tmp_path: Path) -> Path:
    """A saved tiny bert base model (no task head) with its tokenizer."""
    folder = tmp_path / "tiny_bert"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModel.from_config(build_config("bert"))
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reversed_model(tiny_tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose head answers (positive, negative); the data's labels are (negative, positive)."""
    folder = tmp_path_factory.mktemp("models") / "reversed"
    model = build_model("bert", layers=1)
    model.config.id2label = {0: "positive", 1: "negative"}
    model.config.label2id = {"positive": 0, "negative": 1}
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def reading(tiny_task: Path) -> Reading:
    """F1 is not the same when the labels are swapped, even if a model always gives one answer."""
    return Reading(DataSpec(str(tiny_task), metric="f1"), threads=1)
