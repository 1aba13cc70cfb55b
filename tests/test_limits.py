"""Whole runs under limits on what may change: with a search and without one, refused, and checked again."""

from __future__ import annotations

import json

import pytest
import torch

from leanformer.budget import BIAS, FLIPS, Budget, Target
from leanformer.errors import BudgetError
from leanformer.job import Job
from leanformer.limits import served_answer
from leanformer.measure.contract import CONTRACT_FILE
from leanformer.pipeline import run_job
from leanformer.reading import Reading
from leanformer.recheck import check_run
from leanformer.run import Run
from leanformer.tasks.load import DataSpec
from tiny import build_model, build_rows, write_csv


@pytest.fixture
def ready(tiny_tokenizer, tmp_path):
    """A folder with a classifier ("ready") and texts of which each has a gender word ("reviews")."""
    model = build_model("bert")
    with torch.no_grad():  # so that answers depend on the text
        for weight in (one for one in model.parameters() if one.ndim > 1):
            weight.mul_(10.0)
    model.save_pretrained(tmp_path / "ready")
    tiny_tokenizer.save_pretrained(tmp_path / "ready")
    (tmp_path / "reviews").mkdir()
    for number, (split, count) in enumerate((("train", 200), ("validation", 60)), start=1):
        rows = build_rows(count, seed=number)
        told = [(f"{'he' if place % 2 else 'she'} {text}", label) for place, (text, label) in enumerate(rows)]
        write_csv(tmp_path / "reviews" / f"{split}.csv", ("sentence", "label"), told)
    return tmp_path


def job_of(folder, budget, method="one-shot", data="reviews", **fields):
    given = {"threads": 1, "quick": True, "exports": (), "timing": False, **fields}
    return Job(str(folder / "ready"), DataSpec(str(folder / data)), budget, method, **given)


def limits_in(record):
    return {limit["name"]: limit for limit in record["budget"]["limits"]}


def test_a_search_keeps_them_the_report_tells_the_cost_and_check_measures_again(ready):
    budget = Budget(0.5, max_flips_percent=40.0, max_bias_increase=0.5)
    record = run_job(job_of(ready, budget, seed=3), ready / "run")
    cost = record["search"]["limits"]
    assert cost["asked"] == {FLIPS: 40.0, BIAS: 0.5}
    assert 0 < cost["kept"] <= cost["judged"]
    limits = limits_in(record)
    assert record["limits"][FLIPS]["n"] == 20  # held-out rows: a tenth of the training rows
    assert limits[FLIPS]["measured"] == record["limits"][FLIPS]["value"] <= 40.0
    assert limits[BIAS]["low"] <= limits[BIAS]["measured"] <= limits[BIAS]["high"]
    assert limits[FLIPS]["met"]
    assert limits[BIAS]["met"]
    # a model that is not trained any more is the very one that was judged
    assert cost["chosen"]["harms"][FLIPS] == limits[FLIPS]["measured"]
    page = (ready / "run" / "report.html").read_text()
    assert "candidates keep to it, as they were judged" in page
    again = Job.from_toml(ready / "run" / "job.toml")
    assert again.budget == budget
    assert "--max-flips 40.0 --max-bias-increase 0.5" in again.command("run")
    check = check_run(ready / "run", Reading(None), rounds=2)
    assert {term.name: term.now for term in check.terms if term.name in (FLIPS, BIAS)} == {
        name: pytest.approx(limits[name]["measured"], abs=1e-6) for name in (FLIPS, BIAS)
    }
    assert check.kept
    contract = json.loads((ready / "run" / CONTRACT_FILE).read_text())
    for limit in contract["limits"]:
        limit.update(asked=-1.0, measured=-1.0)
    (ready / "run" / CONTRACT_FILE).write_text(json.dumps(contract))
    broken = check_run(ready / "run", Reading(None), rounds=2)
    assert {term.name for term in broken.terms if not term.kept} == {FLIPS, BIAS}


def test_a_method_without_a_search_is_judged_on_its_one_model_which_no_held_out_row_has_trained(
    ready, monkeypatch
):
    from leanformer.methods import steps

    seen = []
    trained = steps.fine_tune
    monkeypatch.setattr(
        steps, "fine_tune", lambda *given, **named: seen.append(given[3]) or trained(*given, **named)
    )
    budget = Budget(0.8, max_flips_percent=0.0)
    record = run_job(job_of(ready, budget, "uniform-magnitude"), ready / "run")
    assert [len(rows) for rows in seen] == [180]
    assert record["search"] is None
    limit = limits_in(record)[FLIPS]
    assert limit["measured"] > 0
    assert not limit["met"]


@pytest.mark.thorough
def test_auto_serves_a_step_that_keeps_them(ready):
    budget = Budget(max_drop_points=100.0, max_flips_percent=0.0)
    job = job_of(ready, budget, "auto", target=Target("torch", "fp32"), limit_s=0.0)
    record = run_job(job, ready / "run")
    assert record["ladder"]["limits"] == {FLIPS: 0.0}
    rung, place = record["ladder"]["chosen"]
    assert record["ladder"]["rungs"][rung]["steps"][place]["harms"] == {FLIPS: 0.0}
    assert limits_in(record)[FLIPS]["met"]
    steps = [step for rung in record["ladder"]["rungs"] for step in rung["steps"]]
    assert all(step["sound"] == (step["harms"][FLIPS] == 0.0) for step in steps)
    assert (
        f"of {len(steps)} steps change more on held-out rows" in (ready / "run" / "report.html").read_text()
    )


def test_texts_without_gender_words_are_refused_and_nothing_stays(ready):
    (ready / "films").mkdir()
    write_csv(ready / "films" / "train.csv", ("sentence", "label"), build_rows(200, seed=1))
    with pytest.raises(BudgetError, match="only 4 of the 18 held-out texts have a gender word"):
        run_job(job_of(ready, Budget(0.5, max_bias_increase=0.1), data="films"), ready / "run")
    assert not (ready / "run").exists()


def test_a_file_that_is_not_there_answers_nothing(ready, tiny_tokenizer):
    with Run.create(ready / "run", job_of(ready, Budget(0.5)), resume=False) as run:
        target = {"runtime": "onnxruntime", "precision": "int8"}
        assert served_answer(run, build_model("bert"), tiny_tokenizer, target) is None
