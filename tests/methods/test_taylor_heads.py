"""Heads by importance: the order by hand, the ladder, the budget, and what happens to a head that does nothing."""

from __future__ import annotations

import pytest
import torch

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.methods.registry import METHODS
from leanformer.methods.taylor_heads import by_importance, head_importance, heads_to_remove, without
from leanformer.structure.cost import pruning_ratio
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict

TAYLOR = METHODS["taylor-heads"]


def options(**given):
    return TAYLOR.settings(given)


@pytest.fixture
def case(problem):
    return problem(granularity="head", ratio=0.5, options=options())


def silence(model, layer, head):
    """Let a head's context count for nothing."""
    view = EncoderView(model)
    with torch.no_grad():
        view.attention_out(layer).weight[:, head * view.head_size : (head + 1) * view.head_size] = 0.0


def test_a_head_that_nothing_hears_has_no_importance_and_goes_first(case):
    silence(case.teacher, 1, 2)
    for normalised in (False, True):
        scores = head_importance(case, normalised)
        assert scores[1, "head"][2] == 0
        assert by_importance(scores)[0] == (1, 2)
    assert scores[0, "head"].norm() == pytest.approx(1.0)


def test_heads_are_sorted_over_all_layers():
    scores = {(0, "head"): torch.tensor([0.3, 0.1]), (1, "head"): torch.tensor([0.2, 0.0])}
    assert by_importance(scores) == [(1, 1), (0, 1), (1, 0), (0, 0)]


def test_half_of_the_heads_leave_and_nothing_else(case):
    found = TAYLOR.run(case)
    view, small = EncoderView(case.teacher), EncoderView(found.model)
    assert pruning_ratio(view, found.masks, "head") == 0.5
    assert sum(small.heads(layer) for layer in range(2)) == 4
    assert [small.width(layer) for layer in range(2)] == [48, 48]
    assert found.training == {}
    assert len(found.heads["removed"]) == 4


def test_the_ladder_is_what_the_models_score(case):
    found = TAYLOR.run(case)
    ladder = found.heads["ladder"]
    assert [step["removed"] for step in ladder] == list(range(9))
    labels = torch.tensor(case.held_out["label"]).numpy()
    measured = score("accuracy", predict(found.model, case.held_out, case.tokenizer), labels)
    assert ladder[4]["score"] == measured
    assert "alone" not in found.heads


def test_ablations_are_asked_for(problem):
    case = problem(granularity="head", options=options(ablations="yes"))
    silence(case.teacher, 0, 1)
    heads = TAYLOR.run(case).heads
    assert [len(row) for row in heads["alone"]] == [len(row) for row in heads["all_but_one"]] == [4, 4]
    assert heads["alone"][0][1] == heads["ladder"][0]["score"]


@pytest.mark.parametrize(
    ("budget", "count"),
    [
        (Budget(0.25), 2),
        (Budget(0.3), 3),  # a whole head more: a ratio is met, not approached
        (Budget(max_drop_points=1.0), 3),
        (Budget(max_drop_points=3.0), 5),  # the first step below ends it, though a later one is above again
        (Budget(0.5, max_drop_points=0.0), 4),
    ],
)
def test_the_budget_is_a_share_or_a_bound_on_the_score(problem, budget, count):
    scores = (0.9, 0.9, 0.89, 0.89, 0.88, 0.87, 0.8, 0.89, 0.5)
    ladder = [{"removed": removed, "score": value} for removed, value in enumerate(scores)]
    ladder[4]["score"] = 0.875
    assert heads_to_remove(problem(budget=budget), ladder, 8) == count


def test_masks_name_only_the_layers_that_lose_heads(case):
    masks = without(EncoderView(case.teacher), [(1, 0), (1, 3)])
    assert masks.keys() == {(1, "head")}
    assert masks[1, "head"].tolist() == [0, 1, 1, 0]
