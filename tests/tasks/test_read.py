from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from leanformer.errors import DataError
from leanformer.tasks import conll
from leanformer.tasks.read import SUFFIXES, read_table

ROWS = {"text": ["one film", "two, films", 'a "third"'], "label": ["a", "b", "a"]}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_all_formats_give_the_same_table(tmp_path):
    objects = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
    write(tmp_path / "a.csv", 'text,label\none film,a\n"two, films",b\n"a ""third""",a\n')
    write(tmp_path / "a.tsv", 'text\tlabel\none film\ta\ntwo, films\tb\na "third"\ta\n')
    write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, objects)))
    write(tmp_path / "a.json", json.dumps(objects))
    Dataset.from_dict(ROWS).to_parquet(tmp_path / "a.parquet")
    for suffix in (suffix for suffix in SUFFIXES if suffix not in conll.SUFFIXES):
        assert read_table(tmp_path / f"a{suffix}").columns == ROWS, suffix


def test_line_numbers_count_header_blank_lines_and_line_ends_in_texts(tmp_path):
    table = read_table(write(tmp_path / "a.csv", 'text,label\r\none,a\r\n\r\n"two\nlines",b\r\nthree,a\r\n'))
    assert table.rows == [2, 4, 6]
    assert table.columns["text"] == ["one", "two\nlines", "three"]
    assert table.where(2).endswith("a.csv line 6")


def test_byte_order_mark_and_semicolons(tmp_path):
    table = read_table(write(tmp_path / "a.csv", b"\xef\xbb\xbftext;label\na, b;1\n"))
    assert table.columns == {"text": ["a, b"], "label": ["1"]}


def test_lone_quotes_in_tsv_are_text(tmp_path):
    table = read_table(write(tmp_path / "a.tsv", 'text\tlabel\n" he said\t1\nshe said\t0\n'))
    assert table.columns["text"] == ['" he said', "she said"]


def test_quoted_tsv_is_understood_where_it_must_be(tmp_path):
    table = read_table(write(tmp_path / "a.tsv", 'text\tlabel\n"tab\there"\t1\nplain\t0\n'))
    assert table.columns["text"] == ["tab\there", "plain"]


def test_unusual_line_separators_stay_in_the_text(tmp_path):
    table = read_table(write(tmp_path / "a.jsonl", '{"text": "a\u2028b\x85c", "label": 1}\n'))
    assert table.columns["text"] == ["a\u2028b\x85c"]
    assert read_table(write(tmp_path / "a.csv", "text,label\na\u2028b,1\n")).rows == [2]


def test_parquet_keeps_class_names(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(
        tmp_path / "a.parquet"
    )
    assert read_table(tmp_path / "a.parquet").label_names == {"label": ("no", "yes")}


def test_long_fields_are_read(tmp_path):
    text = "word " * 50_000
    assert read_table(write(tmp_path / "a.csv", f"text,label\n{text},1\n")).columns["text"] == [text]


def test_json_keys_that_lack_become_none(tmp_path):
    table = read_table(write(tmp_path / "a.jsonl", '{"text": "a"}\n{"label": 1, "text": "b"}\n'))
    assert table.columns == {"text": ["a", "b"], "label": [None, 1]}


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.csv", "", ["a.csv", "empty"]),
        ("a.csv", "\n \n", ["a.csv", "empty"]),
        ("a.csv", "text,label\n", ["no rows"]),
        ("a.jsonl", " \n", ["empty"]),
        ("a.json", "[]", ["no rows"]),
        ("a.csv", b"text,label\nfine,1\nb\xe4d,0\n", ["a.csv line 3", "0xe4", "UTF-8"]),
        ("a.csv", "text,label\nfine,1\na,b,0\n", ["a.csv line 3", "3 fields", "header has 2"]),
        ("a.csv", 'text,label\nfine,1\n"open,0\n', ["a.csv line 3", "quotes"]),
        ("a.tsv", "text\tlabel\nfine\t1\nonly\n", ["a.tsv line 3", "1 fields"]),
        ("a.csv", "text,text\na,b\n", ["'text' twice"]),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', ["a.jsonl line 2", "JSON"]),
        ("a.jsonl", '{"text": "a"}\n[1]\n', ["a.jsonl line 2", "JSON object"]),
        ("a.json", '[{"text": "a"},\n {"text" "b"}]', ["a.json line 2"]),
        ("a.json", '[{"text": "a"}, 3]', ["a.json row 2"]),
        ("a.csv", '""\n', ["a.csv", "empty"]),
        ("a.jsonl", '{"n": 1}\n{"n": ' + "1" * 5000 + "}\n", ["a.jsonl line 2", "digits"]),
        ("a.json", "[" * 100_000, ["a.json line 1", "can not be decoded"]),
        ("a.jsonl", '{"text": "a"}\n{"text": "half \\ud83d"}\n', ["a.jsonl line 2", "surrogate"]),
        ("a.json", '[{"text": "half \\ud83d"}]', ["a.json row 1", "surrogate"]),
        ("a.parquet", "no parquet", ["a.parquet", "parquet"]),
        ("a.doc", "text", [".csv", ".parquet", ".conll"]),
        ("a.txt", "one\n", ["a.txt line 1", "a word and its tag a line"]),
    ],
)
def test_bad_files_get_one_clear_sentence(tmp_path, name, content, parts):
    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path / name, content))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_pairs_of_surrogates_are_characters(tmp_path):
    assert read_table(write(tmp_path / "a.jsonl", '{"text": "\\ud83c\\udfac"}')).columns["text"] == ["🎬"]


def test_parquet_with_a_column_twice(tmp_path):
    columns = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(columns, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet can not be decoded.*text"):
        read_table(tmp_path / "a.parquet")


def test_missing_file():
    with pytest.raises(DataError, match=r"no file .*nowhere\.csv"):
        read_table("nowhere.csv")
