"""The demo's model and data."""

import csv
import sys
from collections import Counter

import pytest

from leanformer import demo
from leanformer.errors import RunError


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read(folder):
    return (folder / demo.TASK / "train.csv").read_bytes()


def test_sentences_are_split_once_and_for_all(tmp_path):
    counts = demo.write_rotten_tomatoes(tmp_path / "data", quick=False)
    assert counts == {"train": 6824, "validation": 852, "test": 854}
    splits = {name: rows_of(tmp_path / "data" / demo.TASK / f"{name}.csv") for name in counts}
    for name, rows in splits.items():
        assert len(rows) == counts[name]
        assert len(set(Counter(row["label"] for row in rows).values())) == 1  # as many good as bad ones
    texts = {name: {row["text"] for row in rows} for name, rows in splits.items()}
    assert len(texts["train"] & texts["test"]) < 10  # the source repeats a few sentences
    demo.write_rotten_tomatoes(tmp_path / "again", quick=False)
    assert read(tmp_path / "again") == read(tmp_path / "data")


def test_quick_takes_the_first_rows_of_the_same_split(tmp_path):
    demo.write_rotten_tomatoes(tmp_path / "data", quick=False)
    counts = demo.write_rotten_tomatoes(tmp_path / "quick", quick=True)
    assert counts == demo.QUICK_ROWS
    for name, count in counts.items():
        assert (
            rows_of(tmp_path / "quick" / demo.TASK / f"{name}.csv")
            == rows_of(tmp_path / "data" / demo.TASK / f"{name}.csv")[:count]
        )


def test_split_keeps_every_row_and_the_shares_of_the_labels():
    rows = [(str(number), "a" if number % 4 else "b") for number in range(400)]
    splits = demo.stratified(rows)
    assert sorted(row for part in splits.values() for row in part) == sorted(rows)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [320, 40, 40]
    assert Counter(label for _, label in splits["test"]) == {"a": 30, "b": 10}


def test_model_is_found_without_importing_its_package(monkeypatch):
    for name in ("sentence_transformers", demo.MODEL_PACKAGE):  # another test may have had its reasons
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert (demo.model_folder() / "model.safetensors").is_file()
    assert "sentence_transformers" not in sys.modules
    assert demo.MODEL_PACKAGE not in sys.modules


def test_missing_package_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "MODEL_PACKAGE", "no_such_package")
    with pytest.raises(RunError, match=r"no_such_package.*leanformer\[demo\]"):
        demo.model_folder()
