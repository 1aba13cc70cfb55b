"""Robust tickets: gates alone train first, the ticket has its share, the rest starts from the dense weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import robust_tickets
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import pruning_ratio

ROBUST = METHODS["robust-tickets"]


@pytest.mark.parametrize(
    ("granularity", "within"), [pytest.param("weight", 0.001, marks=pytest.mark.thorough), ("unit", 0.05)]
)
def test_a_ticket_of_the_share_that_is_asked_for(problem, granularity, within):
    case = problem(granularity, ratio=0.4, options=ROBUST.settings({}))
    found = ROBUST.run(case)
    dense = EncoderView(case.teacher)
    assert pruning_ratio(dense, found.masks, granularity) == pytest.approx(0.4, abs=within)
    if granularity == "weight":
        for (layer, name), mask in found.masks.items():
            assert not EncoderView(found.model).matrices(layer)[name][mask == 0].any()
    else:
        left = EncoderView(found.model).prunable_weights() / dense.prunable_weights()
        assert left == pytest.approx(0.6, abs=within)
    for name in ("dense", "compressed"):
        facts = found.attack[name]
        assert 0 <= facts["attacked"] <= facts["clean"] <= 1
        assert facts["n"] == len(case.held_out)
    assert found.training == {}
    weights = EncoderView(found.model).matrices(0)
    if granularity == "weight":  # what is left is as it was
        for name, matrix in dense.matrices(0).items():
            assert torch.equal(weights[name], matrix * found.masks[0, name].view_as(matrix))


def test_what_is_left_can_be_trained_as_in_the_paper(problem):
    found = ROBUST.run(problem("unit", ratio=0.4, options=ROBUST.settings({"retrain": "yes"})))
    assert found.training["curve"]


def test_gates_train_and_the_weights_under_them_do_not(problem, monkeypatch):
    case = problem("unit")
    seen = {}
    train = robust_tickets.trained

    def watched(problem, model, masks, config, stage, *rest, **named):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        found = train(problem, model, masks, config, stage, *rest, **named)
        changed = {
            name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)
        }
        seen[stage] = changed
        return found

    monkeypatch.setattr(robust_tickets, "trained", watched)
    gates = robust_tickets.gates_of(replace(case, judges_trained=True))
    changed = seen["Robust tickets: gates"]
    assert changed
    assert all(name.startswith("gates.") for name in changed)
    assert all((alpha != robust_tickets.START).any() for alpha in gates.log_alphas().values())


def test_scores_have_no_answers_to_turn(problem):
    case = problem("unit")
    with pytest.raises(BudgetError, match="needs classes"):
        ROBUST.run(replace(case, task=replace(case.task, kind="regression")))
