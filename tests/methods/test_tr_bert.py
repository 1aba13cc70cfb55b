"""TR-BERT on a tiny model."""

import pytest
import torch

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import tr_bert
from leanformer.methods.registry import METHODS
from leanformer.report.pictures.search import ORIGINS
from leanformer.structure.cost import pruning_ratio
from leanformer.structure.tokens import set_kept_tokens, with_kept_tokens

METHOD = METHODS["tr-bert"]


def case_of(problem, **fields):
    return problem("token", ratio=0.4, options=METHOD.settings({"samples": 3}), **fields)


def test_the_ratio_is_met_at_the_places_and_the_policy_comes_along(problem):
    case = case_of(problem)
    found = METHOD.run(case)
    assert pruning_ratio(EncoderView(case.teacher), found.masks, "token") == pytest.approx(0.4, abs=0.011)
    view = EncoderView(found.model)
    assert view.token_scorer(0) is not None  # of two layers the first is both places
    assert view.token_scorer(1) is None
    assert view.kept_tokens(1) == view.kept_tokens(0) < 1
    assert all(0 < share <= 1 for share in found.training["kept_by_policy"])
    assert found.training["policy"]["steps"] == 10


def test_the_policy_learns_alone(problem):
    case = case_of(problem)
    model = with_kept_tokens(case.teacher, (0.9, 0.9), [0], seed=1)
    set_kept_tokens(model, [1.0, 1.0])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    tr_bert.policy_taught(case, model)
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if ".scorer." in name}


def test_tokens_that_cost_too_much_leave(problem):
    """Where all that a reward is about is the price, the policy learns to keep fewer."""
    kept = []
    for alpha in (-50.0, 50.0):
        case = problem("token", ratio=0.4, folder=f"alpha{alpha}", options={"alpha": alpha, "samples": 8})
        model = with_kept_tokens(case.teacher, (0.9, 0.9), [0], seed=1)
        set_kept_tokens(model, [1.0, 1.0])
        tr_bert.LEARNING_RATE, usual = 0.1, tr_bert.LEARNING_RATE
        try:
            tr_bert.policy_taught(case, model)
        finally:
            tr_bert.LEARNING_RATE = usual
        kept += tr_bert.kept_by_policy(case, model, [0])
    assert kept[0] > kept[1] + 0.3


def test_deeper_models_drop_twice(problem, tiny_model):
    teacher = tiny_model("bert", hidden=16, heads=4, width=48, layers=6)
    case = case_of(problem, teacher=teacher)
    space = tr_bert.space_of(case, EncoderView(teacher))
    assert [group.layer for group in space.groups] == [0, 2]
    assert float(space.groups[1].costs[-1]) > float(space.groups[0].costs[-1])


def test_where_tokens_leave_is_judged_on_held_out_rows(problem, tiny_model):
    """The policy's own shares are among the candidates, and what is chosen diverges no more than they do."""
    teacher = tiny_model("bert", hidden=16, heads=4, width=48, layers=6)
    found = METHOD.run(case_of(problem, teacher=teacher))
    candidates = found.search["candidates"]
    assert (
        {"policy", "later"} <= {one["origin"] for one in candidates} <= ORIGINS.keys()
    )  # the page names them
    (rung,) = found.search["rungs"]
    divergence = {one["origin"]: one["scores"][rung] for one in candidates if one["origin"] == "policy"}
    (chosen,) = [one for one in candidates if one["chosen"]]
    assert chosen["scores"][rung] <= divergence["policy"]
    view = EncoderView(found.model)
    assert chosen["ratio"] == pytest.approx(0.4, abs=0.011)
    assert chosen["kept"] == pytest.approx([view.kept_tokens(0), view.kept_tokens(2)], abs=1e-4)


def test_time_is_refused(problem):
    with pytest.raises(BudgetError, match="length-adaptive"):
        METHOD.run(case_of(problem, budget=Budget(speedup=2.0)))
