"""Tables survive the way to disk and back, and nothing else passes for one."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from latency_example import SETTING, SUBJECT, Law, at, example_table
from leanformer.errors import LatencyError
from leanformer.measure.latency import store
from leanformer.measure.latency.table import Table, to_json


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "leanformer" / "latency"


def test_the_cache_folder_is_the_user_s(cache, monkeypatch):
    assert store.cache_folder() == cache
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert store.cache_folder() == Path.home() / ".cache" / "leanformer" / "latency"


def test_round_trip(cache):
    table = example_table()
    path = store.write_table(table)
    assert path.parent == cache
    assert path.name == "test-cpu-9000_bert_64-4x16-128-3layers.2.json"
    assert store.read_table(SUBJECT) == table
    assert store.all_tables() == [table]
    assert [one.name for one in cache.iterdir()] == [path.name]  # no partial file


def test_nothing_known_is_an_empty_table():
    assert store.read_table(SUBJECT) == Table(SUBJECT)
    assert store.all_tables() == []


def test_a_failing_write_leaves_the_old_file(monkeypatch):
    path = store.write_table(example_table())
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        store.write_table(example_table(Law(fixed_ms=9.0)))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_another_processor_s_table_lies_beside_ours(tmp_path):
    here, there = (
        example_table(),
        example_table(Law(fixed_ms=2.0), subject=replace(SUBJECT, cpu="Other (R) 5")),
    )
    store.write_table(here)
    store.write_file(tmp_path / "shared.json", [there])
    assert store.import_file(tmp_path / "shared.json") == [there]
    assert store.all_tables() == [there, here]
    assert store.read_table(SUBJECT) == here


def test_what_is_measured_here_stays(tmp_path):
    store.write_table(example_table())
    theirs = example_table(Law(fixed_ms=9.0), (SETTING, at(SETTING, tokens=64)))
    store.write_file(tmp_path / "shared.json", [theirs])
    (merged,) = store.import_file(tmp_path / "shared.json")
    assert merged.of(SETTING) == example_table().of(SETTING)
    added = merged.of(at(SETTING, tokens=64))
    assert len(added) == len(example_table().points)
    assert {point.session for point in added.values()} == {1}
    assert store.import_file(tmp_path / "shared.json") == [merged]  # a second time changes nothing


def _written(path, change):
    content = json.loads(json.dumps(to_json([example_table()])))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("format"), "no latency table"),
        (lambda content: content.update(version=99), "version 99"),
        (lambda content: content.pop("tables"), "damaged"),
        (lambda content: content["tables"][0]["subject"].pop("heads"), "damaged"),
        (lambda content: content["tables"][0]["subject"].update(cpu=3), "damaged"),
        (lambda content: content["tables"][0]["points"][0].update(ratio="fast"), "damaged"),
        (lambda content: content["tables"][0]["points"][0].update(ratio=float("nan")), "damaged"),
        (lambda content: content["tables"][0]["points"][0].update(reference_ms=-1.0), "damaged"),
        (lambda content: content["tables"][0]["points"][0].update(session=7), "damaged"),
        (lambda content: content["tables"][0]["sessions"].append("yesterday"), "damaged"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(tmp_path, cache, change, words):
    path = _written(tmp_path / "odd.json", change)
    with pytest.raises(LatencyError, match=words) as refused:
        store.import_file(path)
    assert "odd.json" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "[1, 2]", "{}", "not json", "null"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "odd.json").write_text(content, encoding="utf-8")
    with pytest.raises(LatencyError, match="no latency table"):
        store.read_file(tmp_path / "odd.json")


def test_places_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(LatencyError, match="no file"):
        store.read_file(tmp_path / "none.json")
    with pytest.raises(LatencyError, match="no folder"):
        store.write_file(tmp_path / "none" / "table.json", [example_table()])


def test_a_file_of_another_subject_is_refused():
    path = store.write_table(example_table())
    store.write_file(path, [example_table(subject=replace(SUBJECT, width=64))])
    with pytest.raises(LatencyError, match="something else"):
        store.read_table(SUBJECT)


def test_other_versions_of_a_runtime_are_stale():
    table = example_table(settings=(SETTING, at(SETTING, runtime="openvino")))
    assert table.without_stale({"torch": "1.0"}) == table  # openvino was not there, and still is not
    newer = table.without_stale({"torch": "2.0"})
    assert newer.settings() == [at(SETTING, runtime="openvino")]
    assert asdict(newer.subject) == asdict(table.subject)
