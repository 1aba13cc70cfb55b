"""What a method has trained for every budget is taken over from a finished run of it."""

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, RunError
from leanformer.methods import tr_bert
from leanformer.methods.problem import Compressed
from leanformer.methods.registry import METHODS
from leanformer.structure.exits import with_exits
from leanformer.structure.tokens import with_kept_tokens

ONCE = [name for name, method in METHODS.items() if method.trains_once]
EXITS = ("fastbert", "patience", "learned-exit")


def test_which_methods_train_once():
    assert set(ONCE) == {"length-adaptive", "tr-bert", *EXITS}


@pytest.mark.parametrize("name", EXITS)
def test_exits_are_set_to_another_ratio_without_training(problem, finished_run, tiny_model, tmp_path, name):
    method, teacher = METHODS[name], tiny_model("bert", layers=4).eval()
    case = problem("exit", ratio=0.2, teacher=teacher, options=method.settings({}))
    slow = method.run(case)
    finished_run(tmp_path / "slow", name, slow, case)
    options = method.settings({"trained": str(tmp_path / "slow")})
    fast = method.run(problem("exit", ratio=0.45, folder="fast", teacher=teacher, options=options))
    weights = slow.model.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in fast.model.state_dict().items())
    assert fast.exits["saved"] >= 0.45
    assert fast.exits["curve"] == slow.exits["curve"]  # of exits that no text has left by
    again = method.run(problem("exit", ratio=0.2, folder="again", teacher=teacher, options=options))
    assert again.exits == slow.exits
    seconds = slow.training["recovery_seconds"]
    assert fast.training == {
        **slow.training,
        "taken_over": {"run": str(tmp_path / "slow"), "seconds": seconds},
    }


def test_a_policy_is_taken_over_and_the_rest_is_distilled(problem, finished_run, tmp_path):
    method = METHODS["tr-bert"]
    slow = method.run(case := problem("token", ratio=0.4, options=method.settings({"samples": 3})))
    finished_run(tmp_path / "slow", "tr-bert", slow, case)
    other = method.settings({"trained": str(tmp_path / "slow"), "samples": 4})
    with pytest.raises(BudgetError, match="taught with samples=3"):
        method.run(problem("token", ratio=0.4, folder="other", options=other))
    options = method.settings({"trained": str(tmp_path / "slow"), "samples": 3})
    fast = method.run(problem("token", ratio=0.4, folder="fast", options=options))
    weights = slow.model.state_dict()  # the same policy, and then the same distillation
    assert all(torch.equal(tensor, weights[key]) for key, tensor in fast.model.state_dict().items())
    assert fast.training["kept_by_policy"] == slow.training["kept_by_policy"]
    assert fast.training["policy"]["taken_over"]["seconds"] == slow.training["policy"]["recovery_seconds"]


def test_a_policy_needs_the_places_at_which_tokens_leave(problem, finished_run, tmp_path):
    case = problem("token", options=METHODS["tr-bert"].settings({"trained": str(tmp_path / "other")}))
    training = {"policy": {"recovery_seconds": 1.0}}
    finished_run(
        tmp_path / "other",
        "tr-bert",
        Compressed(with_kept_tokens(case.teacher, (1.0, 0.5), [1]), {}, training=training),
        case,
    )
    with pytest.raises(BudgetError, match="drops nothing behind layer 0"):
        tr_bert.run(case)


def test_what_can_not_be_taken_over_is_refused(problem, finished_run, tiny_model, tmp_path):
    method, run = METHODS["fastbert"], tmp_path / "other"
    case = problem("exit", options=method.settings({"trained": str(run)}))
    with pytest.raises(RunError, match="can not be read"):
        method.run(case)
    finished_run(run, "patience", Compressed(with_exits(case.teacher, [0]), {}), case)
    with pytest.raises(BudgetError, match="is a run of patience"):
        method.run(case)
    finished_run(run, "fastbert", Compressed(with_exits(case.teacher, [0]), {}), case, seed=1)
    with pytest.raises(BudgetError, match="under seed 1"):
        method.run(case)
    wider = with_exits(tiny_model("bert", hidden=16, heads=4, width=64), [0])
    finished_run(run, "fastbert", Compressed(wider, {}), case)
    with pytest.raises(BudgetError, match="other layers than the dense model"):
        method.run(case)
    (run / "result.json").unlink()
    with pytest.raises(BudgetError, match="is not finished"):
        method.run(case)


def test_the_scorer_is_no_part_of_the_distillation(problem):
    """Or the policy that is taken over would not be the one that was taught."""
    case = problem("token", ratio=0.4, options=METHODS["tr-bert"].settings({"samples": 3}))
    taught = {}

    def noted(problem, model):
        facts = real(problem, model)
        taught.update(
            {name: tensor.clone() for name, tensor in model.state_dict().items() if ".scorer." in name}
        )
        return facts

    real, tr_bert.policy_taught = tr_bert.policy_taught, noted
    try:
        found = tr_bert.run(case)
    finally:
        tr_bert.policy_taught = real
    scorer = EncoderView(found.model).token_scorer(0).state_dict()
    assert scorer
    assert all(
        torch.equal(tensor, taught[key])
        for key in taught
        for name, tensor in scorer.items()
        if key.endswith(name)
    )
