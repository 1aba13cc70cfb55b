"""FastBERT, PABEE and learned exits on a tiny model: the dial does what the budget asks for, on held-out rows."""

from dataclasses import replace

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import learned_exit, leaving
from leanformer.methods.registry import METHODS
from leanformer.tasks.predict import predict

POLICIES = {"fastbert": "entropy", "patience": "patience", "learned-exit": "learned"}


@pytest.mark.parametrize("name", POLICIES)
def test_the_ratio_is_saved_on_held_out_rows(problem, tiny_model, name):
    teacher = tiny_model("bert", layers=4).eval()
    case = problem("exit", ratio=0.4, teacher=teacher, options=METHODS[name].settings({}))
    found = METHODS[name].run(case)
    assert found.exits["policy"] == POLICIES[name]
    assert found.exits["saved"] >= 0.4
    assert found.removed_share == found.exits["saved"]
    assert sum(found.exits["left_at"]) == len(case.held_out)
    used = []
    handle = found.model.register_forward_hook(
        lambda model, *rest: used.extend(EncoderView(model).encoder().leaving.layers.tolist())
    )
    predict(found.model, case.held_out, case.tokenizer)
    handle.remove()
    assert 1 - sum(used) / len(used) / 4 == pytest.approx(found.exits["saved"])


def test_fastberts_backbone_stands_still(problem):
    case = problem("exit", ratio=0.2, options=METHODS["fastbert"].settings({}))
    found = METHODS["fastbert"].run(case)
    before = case.teacher.state_dict()
    after = found.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert {name.split(".exits.")[0] for name in after.keys() - before.keys()} == {"bert.encoder"}
    assert found.training["curve"]


def test_agreement_and_drop_are_budgets(problem):
    method = METHODS["fastbert"]
    agreed = method.run(problem("exit", folder="a", options=method.settings({"agreement": 0.5})))
    assert agreed.exits["agreement"] >= 0.5
    with pytest.raises(BudgetError, match="do not show that"):
        method.run(problem("exit", folder="b", options=method.settings({"agreement": 0.9999})))
    with pytest.raises(BudgetError, match="of the layers at most"):
        method.run(problem("exit", folder="c", ratio=0.95, options=method.settings({})))


def test_learned_exits_have_a_judge_each(problem, tiny_model):
    teacher = tiny_model("bert", layers=4).eval()
    case = problem("exit", ratio=0.3, teacher=teacher, options=METHODS["learned-exit"].settings({}))
    exits = EncoderView(learned_exit.run(case).model).encoder().exits
    assert len(exits) == 3
    assert all(one.certainty is not None for one in exits.values())


def test_values_have_no_entropy(problem):
    case = problem("exit", options=METHODS["fastbert"].settings({}))
    with pytest.raises(BudgetError, match="values have no entropy"):
        METHODS["fastbert"].run(replace(case, task=replace(case.task, kind="regression", labels=())))


@pytest.mark.parametrize(("n_layers", "expected"), [(2, [0]), (6, [0, 1, 2, 3, 4]), (12, [1, 3, 5, 7, 9])])
def test_where_exits_are(n_layers, expected):
    assert leaving.exit_layers(n_layers) == expected
