"""Whole runs on tiny models that answer questions: trained, exported, checked, loaded, refused."""

import json
import shutil

import pytest

from leanformer.assess import evaluate
from leanformer.budget import Budget
from leanformer.errors import BudgetError
from leanformer.job import Job
from leanformer.pipeline import run_job
from leanformer.reading import Reading
from leanformer.recheck import check_run
from leanformer.report.loading import doors, export_doors
from leanformer.report.page import render
from leanformer.tasks.answer_text import plain_words
from leanformer.tasks.load import DataSpec
from tiny import build_reader, build_squad, write_squad

REFUSED = ("fastbert", "patience", "learned-exit", "robust-tickets", "multitask")


@pytest.fixture
def reader(squad, tmp_path, tiny_tokenizer):
    """The factory of jobs on questions, of a saved tiny model whose head is new."""

    def job(method, family="bert", ratio=0.4, granularity="unit", **fields):
        model = tmp_path / family
        if not model.exists():
            made = build_reader(family, layers=2)
            made.save_pretrained(model)
            tiny_tokenizer.save_pretrained(model)
        given = {"threads": 1, "quick": True, "exports": (), "timing": False, "finetune": True, **fields}
        return Job(str(model), DataSpec(str(squad)), Budget(ratio), method, granularity, **given)

    return job


def test_from_squad_to_report_and_back(reader, squad, tmp_path):
    write_squad(squad / "train.json", build_squad(120, seed=3))
    fields = {"exports": ("onnx",), "timing": True, "limit_s": 0.0}
    record = run_job(reader("one-shot", **fields), tmp_path / "run")
    assert (record["task"]["kind"], record["metric"], record["n"]) == ("question-answering", "answer-f1", 40)
    assert record["dense"]["score"] > 0.25  # by chance it finds one word of about ten
    assert set(record["dense"]["extra"]) == {"exact-match"}
    for flip in record["flips"]:
        assert plain_words(flip["dense_answer"]) != plain_words(flip["lean_answer"])
        assert flip["dense_answer"] in flip["text_pair"]
    page, card = render(record), (tmp_path / "run" / "model" / "README.md").read_text()
    assert "F1 of answers" in page
    assert "Questions whose answer changed" in page or not record["flips"]
    assert "question-answering" in card
    assert "exact-match" in json.dumps(record)

    for name in ("model", "onnx"):
        found = evaluate(str(tmp_path / "run" / name), Reading(DataSpec(str(squad)), threads=1))
        assert found.value == pytest.approx(record["compressed"]["score"])
        assert found.n == 40
    assert check_run(tmp_path / "run", Reading(threads=1), rounds=2, limit_s=0.0).n == 40

    for door in doors(record, str(tmp_path / "run" / "model"))[:1]:
        said = {}
        exec(compile(door.code, door.name, "exec"), said)
        assert said["answer"] in said["text"]
    (door,) = export_doors(record, str(tmp_path / "run"))
    exec(compile(door.code, door.name, "exec"), said)
    assert said["start_logits"].shape == said["end_logits"].shape == said["batch"]["input_ids"].shape


@pytest.mark.parametrize("method", REFUSED)
def test_what_needs_one_answer_a_text_is_refused_before_anything_is_computed(method, reader, tmp_path):
    from leanformer.methods.registry import METHODS

    job = reader(method, granularity=METHODS[method].granularities[0])
    with pytest.raises(
        BudgetError, match=f"{method} needs one answer for a whole text, and question-answering"
    ):
        run_job(job, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    shutil.rmtree(tmp_path / "bert")
