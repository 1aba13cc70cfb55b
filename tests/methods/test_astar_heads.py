"""Heads by A*: the bound is a measurement, and a search that was killed asks nothing twice."""

from __future__ import annotations

import numpy as np
import pytest

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.registry import METHODS
from leanformer.search.answers import Answers
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict

ASTAR = METHODS["astar-heads"]


def score_of(case, model):
    labels = np.asarray(case.held_out["label"][:])
    return score("accuracy", predict(model, case.held_out, case.tokenizer), labels)


@pytest.mark.parametrize("points", [0.0, 5.0])
def test_the_score_keeps_its_bound_on_the_held_out_rows(problem, points):
    case = problem(
        granularity="head", budget=Budget(max_drop_points=points), options=ASTAR.settings({"expansions": 30})
    )
    found = ASTAR.run(case)
    assert score_of(case, found.model) >= score_of(case, case.teacher) - points / 100
    small = EncoderView(found.model)
    assert sum(small.heads(layer) for layer in range(2)) == 8 - len(found.heads["removed"])
    assert found.heads["ladder"][-1]["score"] == score_of(case, found.model)
    assert found.training == {}


def test_a_ratio_ends_the_search_and_refit_trains(problem):
    budget = Budget(0.25, max_drop_points=100.0)
    case = problem(granularity="head", budget=budget, options=ASTAR.settings({"refit": "yes"}))
    found = ASTAR.run(case)
    assert len(found.heads["removed"]) == 2
    assert found.training["curve"]


def test_what_was_asked_before_a_kill_is_not_asked_again(problem, monkeypatch):
    budget = Budget(max_drop_points=3.0)
    case = problem(granularity="head", budget=budget, options=ASTAR.settings({"expansions": 20}))
    whole = ASTAR.run(case).heads
    lines = (case.folder / "answers.jsonl").read_text().splitlines(keepends=True)
    (case.folder / "answers.jsonl").write_text("".join(lines[: len(lines) // 2]) + lines[-1][:20])
    again = ASTAR.run(case).heads
    assert again["removed"] == whole["removed"]
    assert again["ladder"] == whole["ladder"]
    assert whole["evaluations"] == len(lines)
    assert again["evaluations"] == len(lines) - len(lines) // 2


def test_answers_come_back_from_the_file(problem):
    case = problem()
    path = case.folder / "answers.jsonl"
    first = Answers(case.teacher, case.tokenizer, case.held_out, case.task, path).of({})
    known = Answers(case.teacher, case.tokenizer, case.held_out, case.task, path)
    second = known.of({})
    assert known.asked == 0
    assert second.score == first.score
    np.testing.assert_allclose(second.losses, first.losses, rtol=1e-6)


@pytest.mark.parametrize("weight", [0, 1.5])
def test_a_weight_that_is_none_is_refused(problem, weight):
    case = problem(granularity="head", options=ASTAR.settings({"weight": weight}))
    with pytest.raises(BudgetError, match="option weight"):
        ASTAR.run(case)
