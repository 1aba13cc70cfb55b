"""The Length-Adaptive Transformer on a tiny model: the budget is met, and a kill changes nothing."""

from itertools import pairwise

import pytest
import torch
from fake_clock import FakeClock, pace

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.methods import length_adaptive, lengths
from leanformer.methods.registry import METHODS
from leanformer.report.pictures.search import ORIGINS
from leanformer.search.falling import token_space
from leanformer.structure.cost import pruning_ratio

METHOD = METHODS["length-adaptive"]


def test_the_ratio_is_met_and_the_model_drops_tokens(problem):
    case = problem("token", ratio=0.4, options=METHOD.settings({}))
    found = METHOD.run(case)
    assert pruning_ratio(EncoderView(case.teacher), found.masks, "token") == pytest.approx(0.4, abs=0.011)
    view = EncoderView(found.model)
    kept = [view.kept_tokens(layer) for layer in range(view.n_layers)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 1
    chosen = [candidate for candidate in found.search["candidates"] if candidate["chosen"]]
    assert chosen[0]["kept"] == pytest.approx(kept, abs=1e-4)
    assert found.training["curve"]
    assert len(found.search["candidates"]) > 3
    assert {"uniform", "falling"} <= {one["origin"] for one in found.search["candidates"]} <= ORIGINS.keys()


def test_one_training_serves_other_budgets(problem, finished_run, tmp_path):
    case = problem("token", ratio=0.4, options=METHOD.settings({}))
    slow = METHOD.run(case)
    finished_run(tmp_path / "slow", "length-adaptive", slow, case)
    options = METHOD.settings({"trained": str(tmp_path / "slow")})
    fast = METHOD.run(problem("token", ratio=0.6, folder="fast", options=options))
    seconds = slow.training["recovery_seconds"]
    taken_over = {"run": str(tmp_path / "slow"), "seconds": seconds}
    assert fast.training == {**slow.training, "taken_over": taken_over}
    assert pruning_ratio(EncoderView(case.teacher), fast.masks, "token") == pytest.approx(0.6, abs=0.011)
    weights = slow.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in fast.model.state_dict().items())
    assert fast.search["candidates"]


def test_the_smallest_is_no_larger_than_the_budget_needs(tiny_model):
    view = EncoderView(tiny_model("bert", layers=6))
    for ratio in (0.1, 0.5, 0.8):
        least = length_adaptive.smallest(token_space(view, ratio), 6)
        assert list(least) == sorted(least, reverse=True)
        assert least[0] <= 0.8
        assert least[-1] < 1 - ratio


def test_where_choosing_costs_time_tokens_leave_at_fewer_places(problem, tiny_model):
    teacher = tiny_model("bert", hidden=16, heads=4, width=48, layers=4)
    clock = FakeClock(1.0, choosing_ms=0.4)
    limits = {"latency_ms": 7.0}
    case = problem(
        "token",
        teacher=teacher,
        budget=Budget(**limits),
        pace=pace(clock, shorter=True, **limits),
        options=METHOD.settings({}),
    )
    found = METHOD.run(case)
    timing = clock({"winner": found.model})["winner"]
    assert timing.latency_ms <= 7.0
    heats = found.search["heats"]
    assert min(heats[0]["shortfalls"]) > 1.0
    assert heats[0]["deadline_ms"] == heats[1]["deadline_ms"] == 7.0  # explained by what choosing costs
    view = EncoderView(found.model)
    kept = [view.kept_tokens(layer) for layer in range(view.n_layers)]
    places = sum(after < before for before, after in pairwise([1.0, *kept]))
    assert 0 < places < 4
    masks = [int(found.masks[layer, "token"].sum()) / 64 for layer in range(view.n_layers)]
    assert masks == kept


def test_places_are_spread_evenly():
    assert lengths.spreads(range(6)) == [(0, 1, 2, 3, 4, 5), (0, 3), (1, 3), (0, 2, 4), (1, 2, 4)]
    assert lengths.spreads(range(2)) == [(0, 1)]
    assert lengths.spreads([0, 2, 3, 5])[1:3] == [(0, 3), (2, 3)]


def test_families_that_can_not_are_refused(problem, tiny_model):
    with pytest.raises(ModelError, match="modernbert"):
        METHOD.run(problem("token", teacher=tiny_model("modernbert").eval(), options=METHOD.settings({})))
