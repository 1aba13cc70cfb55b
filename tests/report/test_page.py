"""The page is whole, self-contained and escaped, and leaves out what is missing."""

from __future__ import annotations

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_example import example_climb, example_result

from leanformer.errors import RunError
from leanformer.report.flips import flip_views
from leanformer.report.loading import doors, export_doors
from leanformer.report.page import render, write_report

SECTIONS = {"layers", "search", "speed", "flips", "exports", "training", "load", "repeat"}


class Loads(HTMLParser):
    """Collects what a browser would fetch, and the ids of the sections."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts_with_source = 0
        self.sections: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [
            value for key in ("src", "href", "srcset", "data") if (value := given.get(key)) is not None
        ]
        self.scripts_with_source += tag == "script" and "src" in given
        if tag == "section" and given.get("id"):
            self.sections.add(str(given["id"]))


def parsed(page: str) -> Loads:
    loads = Loads()
    loads.feed(page)
    return loads


def write(folder: Path, result: dict[str, Any]) -> Path:
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return write_report(folder)


def test_the_report_is_one_file_that_loads_nothing(tmp_path: Path, result: dict[str, Any]) -> None:
    path = write(tmp_path, result)
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "report.html"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["report.html", "result.json"]
    loads = parsed(page)
    assert loads.loads == ["data:,"]
    assert loads.scripts_with_source == 0
    assert not re.search(r"https?://|@import|url\(", page)
    assert loads.sections == SECTIONS


def test_missing_parts_are_left_out(bare_result: dict[str, Any]) -> None:
    page = render(bare_result)
    assert parsed(page).sections == {"layers", "load", "repeat"}
    assert "<h2>speed</h2>" not in page
    assert "None" not in page


@pytest.mark.parametrize("key", ["test", "search", "training", "bench", "flips", "exports", "stages"])
def test_each_optional_part_may_be_null(key: str, result: dict[str, Any]) -> None:
    assert "How to load it" in render(result | {key: None})


def test_zeros_that_were_filled_are_not_said_to_be_zeros() -> None:
    result = example_result(granularity="weight")
    assert all(words in render(result) for words in ("weights are zero", "are zeros"))
    for layer in result["layers"]:
        layer.pop("matrix_ratio")
    page = render(result)
    assert not any(words in page for words in ("weights are zero", "are zeros", "stored as zeros"))


def test_an_attack_has_its_card(result: dict[str, Any]) -> None:
    facts = {"clean": 0.9, "n": 512, "changed_words": 1.5}
    result["attack"] = {"dense": {**facts, "attacked": 0.25}, "compressed": {**facts, "attacked": 0.2}}
    page = render(result)
    assert "accuracy under attack" in page
    assert "without attack 90.0 → 90.0" in page
    assert "−5.0 points" in page


@pytest.mark.parametrize(
    "kwargs", [{"granularity": "weight"}, {"kind": "regression", "pair": True, "layers": 24}]
)
def test_other_runs_are_rendered(kwargs: dict[str, Any]) -> None:
    page = render(example_result(**kwargs))
    assert parsed(page).sections == SECTIONS


@pytest.mark.parametrize("rungs", [2, 7])
def test_a_climb_shows_its_ladder_and_all_of_its_steps(rungs: int) -> None:
    result = example_climb(rungs=rungs)
    page = render(result)
    steps = sum(len(rung["steps"]) for rung in result["ladder"]["rungs"])
    assert parsed(page).sections >= {"ladder", "layers", "load", "repeat"}
    ladder = page[page.index('id="ladder"') : page.index('id="layers"')]
    assert f"<summary>All {steps} steps</summary>" in ladder
    assert ladder.count("<tr") == rungs + steps + 2
    assert ladder.count('<tr class="chosen">') == 2
    assert ("layers" in ladder) == (rungs == 7)
    assert ladder.count("colspan=") == (rungs == 7)  # where nothing was measured, the note has the room
    assert ladder.count("Not climbed: ") == (rungs == 7)
    assert "None" not in ladder


def test_a_climbs_words_are_shown_as_text() -> None:
    evil = "<script>alert('x')</script>"
    result = example_climb(rungs=2)
    result["ladder"]["rungs"][0] |= {"name": evil, "words": evil, "note": evil}
    result["ladder"] |= {"asked": evil, "chosen": [0, 0]}
    page = render(result)
    assert evil not in page
    assert page.count("<script>") == 1


def test_texts_are_shown_as_text(result: dict[str, Any]) -> None:
    evil = "<script>alert('x')</script><img src=x onerror=alert(1)>"
    result["flips"][0].update(text=evil, text_pair=evil)
    result["task"].update(name=evil, labels=[evil, "other"])
    result["command"] = evil
    result["machine"]["cpu"] = evil
    result["search"]["candidates"][0]["origin"] = evil
    page = render(result)
    assert evil not in page
    assert "<img" not in page
    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;") > 5


def test_a_run_without_result_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"result\.json does not exist: finish the run first"):
        write_report(tmp_path)


@pytest.mark.parametrize("content", ["{", "[1, 2]", "\xff"])
def test_a_broken_result_is_one_sentence_and_leaves_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"result\.json .* run the compression again"):
        write_report(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]


def test_a_result_that_lacks_a_figure_names_it(tmp_path: Path, result: dict[str, Any]) -> None:
    del result["drop_points"]
    with pytest.raises(RunError, match="lacks 'drop_points'"):
        write(tmp_path, result)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("part", ["training", "policy"])
def test_what_was_trained_elsewhere_is_said(result: dict[str, Any], part: str) -> None:
    assert "where it took" not in render(result)
    taken_over = {"taken_over": {"run": "/runs/slow", "seconds": 720.0}}
    result["training"] |= {"policy": taken_over} if part == "policy" else taken_over
    assert f"The {part} is that of slow, where it took 12.0 min." in render(result)


def test_flips_say_who_was_right(result: dict[str, Any]) -> None:
    base = {"row": 1, "text": "t", "text_pair": None, "dense_probability": 0.9, "lean_probability": 0.6}
    task = {"kind": "classification", "labels": ["no", "yes", "maybe"]}
    flips = [base | {"label": label, "dense_answer": 0, "lean_answer": 1} for label in (0, 1, 2)]
    views = flip_views(flips, task)
    assert [view.change for view in views] == ["worse", "better", "wrong"]
    assert (views[0].before, views[0].after, views[2].label) == ("no", "yes", "maybe")
    assert (views[0].before_sure, views[0].after_sure) == ("90%", "60%")
    named = flip_views([base | {"label": "yes", "dense_answer": "no", "lean_answer": "yes"}], task)
    assert named[0].change == "better"


def test_flips_of_a_regression_compare_distances() -> None:
    flip = {"row": 1, "text": "t", "text_pair": "u", "label": 3.0, "dense_answer": 3.5, "lean_answer": 1.0}
    (view,) = flip_views([flip], {"kind": "regression", "labels": []})
    assert (view.change, view.before, view.after, view.before_sure) == ("worse", "3.50", "1.00", "")
    assert view.surest == 2.5


def test_flips_of_questions_compare_how_right_they_are() -> None:
    base = {
        "row": 1,
        "text": "who?",
        "text_pair": "Ann met Bo",
        "label": "Ann / Bo",
        "dense_probability": 0.5,
    }
    base |= {"dense_answer": "met", "lean_answer": "Ann met", "lean_probability": 0.25}
    pairs = [(0.0, 0.5), (1.0, 0.5), (0.0, 0.0), (0.5, 0.5)]
    flips = [base | {"dense_right": dense, "lean_right": lean} for dense, lean in pairs]
    views = flip_views(flips, {"kind": "question-answering", "labels": ["start", "end"]})
    assert [view.change for view in views] == ["better", "worse", "wrong", "moved"]
    assert (views[0].before, views[0].after, views[0].before_sure) == ("met", "Ann met", "50%")


def test_the_doors_follow_what_was_saved(result: dict[str, Any]) -> None:
    lean, plain = doors(result | {"door": "lean"}, "model"), doors(result | {"door": "plain"}, "model")
    assert ["leanformer" in door.code for door in lean] == [True, False]
    assert "trust_remote_code=True" in lean[1].code
    assert [door.name for door in plain] == ["plain transformers"]


def questions_of(result: dict[str, Any]) -> dict[str, Any]:
    task = {**result["task"], "kind": "question-answering", "labels": ["start", "end"], "pair": True}
    return result | {"task": task, "metric": "answer-f1", "door": "lean"}


def test_a_model_that_answers_questions_is_loaded_by_its_two_outputs(result: dict[str, Any]) -> None:
    codes = [door.code for door in doors(questions_of(result), "m") + export_doors(questions_of(result), "r")]
    assert all("AutoModelForQuestionAnswering" in code for code in codes[:2])
    assert ["trust_remote_code=True" in code for code in codes[:2]] == [False, True]
    assert all("start_logits, end_logits = " in code for code in codes[2:])
    page = render(questions_of(result))
    assert "Questions whose answer changed" in page


def test_the_code_to_load_compiles(result: dict[str, Any]) -> None:
    for run in (result, example_result(kind="regression", pair=True), questions_of(result)):
        made = doors(run, "runs/x/model") + export_doors(run, "runs/x")
        assert len(made) == 4
        for door in made:
            compile(door.code, door.name, "exec")
        assert "runs/x/onnx/model_int8.onnx" in made[2].code or "runs/x/onnx/model_int8.onnx" in made[3].code


@pytest.mark.parametrize("run", ['a "quoted" run', "o'brien", "back\\new", "braces {x}"])
def test_the_code_to_load_names_odd_folders_rightly(run: str, result: dict[str, Any]) -> None:
    for door in doors(result, f"{run}/model") + export_doors(result, run):
        texts = [node.value for node in ast.walk(ast.parse(door.code)) if isinstance(node, ast.Constant)]
        assert any(str(text).startswith(f"{run}/") for text in texts)


def test_an_export_brings_its_own_tokenizer(result: dict[str, Any]) -> None:
    """That of the model folder asks to run the carried code first."""
    onnx, openvino = sorted(door.code for door in export_doors(result, "small"))
    assert 'AutoTokenizer.from_pretrained("small/onnx")' in onnx
    assert 'AutoTokenizer.from_pretrained("small/openvino")' in openvino


def test_an_int8_that_was_not_kept_is_told_and_not_offered(result: dict[str, Any]) -> None:
    for export in result["exports"]:
        export["accepted"] = export["precision"] == "fp32"
    assert [door.name for door in export_doors(result, "small")] == ["ONNX Runtime, fp32", "OpenVINO, fp32"]
    page = render(result)
    assert page.count("</code> <mark>not kept</mark>") == 2
    assert "18.9\u00a0MB as" not in page
    assert "69.7\u00a0MB as OpenVINO fp32" in page


@pytest.mark.parametrize("key", ["created", "version", "seed", "command", "flips_total"])
def test_a_result_that_lacks_what_the_page_shows_names_it(
    key: str, tmp_path: Path, result: dict[str, Any]
) -> None:
    del result[key]
    with pytest.raises(RunError, match=f"lacks '{key}'"):
        write(tmp_path, result)
    assert not (tmp_path / "report.html").exists()


def test_local_paths_are_shown_by_name(result: dict[str, Any]) -> None:
    run, model = "/home/someone/with/a/long/path/small", "/home/someone/models/my-bert"
    page = render(result | {"run": run, "model": model, "command": "leanformer compress ..."})
    shown = re.sub(r'title="[^"]*"', "", page)
    assert "/home/someone" not in shown
    assert f'title="{model}">my-bert<' in page
    assert f'title="{run}">small<' in page
    assert "&#34;small/model&#34;" in page


def test_the_name_of_a_hub_model_is_whole(result: dict[str, Any]) -> None:
    assert "<li>example-org/MiniLM-L12</li>" in render(result)


def test_words_from_right_to_left_do_not_turn_an_answer_around(result: dict[str, Any]) -> None:
    result["flips"][0].update(text="\u0641\u064a\u0644\u0645", label=0, dense_answer=0, lean_answer=1)
    result["task"]["labels"] = ["\u0633\u0644\u0628\u064a", "\u0625\u064a\u062c\u0627\u0628\u064a"]
    page = render(result)
    assert '<blockquote dir="auto">\u0641' in page
    for label in result["task"]["labels"]:
        assert page.count(label) == page.count(f"<bdi>{label}</bdi>") > 0
