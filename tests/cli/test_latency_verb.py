"""leanformer latency, as a user has it."""

import json

import pytest
from cli_process import leanformer

from latency_example import example_table
from leanformer.measure.latency.store import write_file, write_table

FEW = (
    "--batch",
    1,
    "--tokens",
    8,
    "--runtime",
    "torch",
    "--precision",
    "fp32",
    "--threads",
    1,
    "--rounds",
    6,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "leanformer" / "latency"


def test_measure_show_export_import(workshop, tmp_path, cache):
    done = leanformer("latency", "measure", workshop / "bert", *FEW, "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["probes_measured"] == record["probes"] > 10
    assert [row["batch"] for row in record["rows"]] == [1]
    (file,) = cache.iterdir()
    assert record["file"] == str(file)

    again = leanformer("latency", "measure", workshop / "bert", *FEW, "--json", folder=tmp_path)
    assert json.loads(again.stdout)["probes_measured"] == 0

    page = leanformer("latency", "show", "--page", "page.html", folder=tmp_path)
    assert (page.returncode, (tmp_path / "page.html").is_file()) == (0, True)
    assert leanformer("latency", "export", "shared.json", folder=tmp_path).returncode == 0

    content = file.read_bytes()
    file.unlink()
    assert leanformer("latency", "import", "shared.json", folder=tmp_path).returncode == 0
    assert file.read_bytes() == content


def test_show_as_json_and_for_people(call):
    write_table(example_table())
    shown = json.loads(call("latency", "show", "--json").stdout)
    assert shown["tables"][0]["subject"]["cpu"] == "Test CPU 9000"
    assert "PyTorch fp32" in call("latency", "show").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show",), "measure one with leanformer latency measure"),
        (("export", "shared.json"), "measure one with leanformer latency measure"),
        (("import", "none.json"), "no file"),
        (("measure", "none"), "none"),
        (("measure", "bert", "--runtime", "tensorrt"), "no runtime 'tensorrt'"),
        (("measure", "bert", "--batch", "0"), "--batch 0"),
        (("measure", "bert", "--tokens", "4000", "--runtime", "torch"), "64 at most"),
    ],
)
def test_one_sentence_and_exit_code_2(call, workshop, monkeypatch, cache, arguments, words):
    monkeypatch.chdir(workshop)
    done = call("latency", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not cache.exists()


def test_a_file_that_is_no_table(call, tmp_path, cache):
    (tmp_path / "odd.json").write_text("{}", encoding="utf-8")
    done = call("latency", "import", tmp_path / "odd.json")
    assert done.exit_code == 2
    assert "no latency table" in done.stderr
    write_file(tmp_path / "table.json", [example_table()])
    assert call("latency", "import", tmp_path / "table.json", "--json").exit_code == 0
    assert [path.name for path in cache.iterdir()] == ["test-cpu-9000_bert_64-4x16-128-3layers.2.json"]
