"""One-shot pruning: the budget is met, in weights and in multiply-accumulates, and nothing is trained."""

from __future__ import annotations

import pytest

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.methods import steps
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import macs_share, pruning_ratio
from leanformer.structure.surgery import slice_units
from leanformer.tasks.metrics import divergence
from leanformer.tasks.predict import predict


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Nothing may train."""

    def train(*given, **named):
        raise AssertionError("one-shot pruning trained something")

    monkeypatch.setattr(steps, "fine_tune", train)


@pytest.mark.parametrize("ratio", [0.3, 0.6])
def test_the_ratio_is_met(problem, ratio):
    case = problem(ratio=ratio)
    found = METHODS["one-shot"].run(case)
    assert pruning_ratio(EncoderView(case.teacher), found.masks) == pytest.approx(ratio, abs=0.005)
    assert found.training == {}
    (chosen,) = [entry for entry in found.search["candidates"] if entry["chosen"]]
    assert chosen["ratio"] == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_multiply_accumulates_stay_below_their_bound(problem, share):
    case = problem(budget=Budget(macs_share=share))
    found = METHODS["one-shot"].run(case)
    view = EncoderView(case.teacher)
    assert share - 0.02 < macs_share(view, found.masks, case.mean_tokens) <= share


def test_both_bounds_hold_together(problem):
    case = problem(budget=Budget(pruning_ratio=0.5, macs_share=0.3))
    found = METHODS["one-shot"].run(case)
    view = EncoderView(case.teacher)
    assert macs_share(view, found.masks, case.mean_tokens) <= 0.3
    assert pruning_ratio(view, found.masks) > 0.5


def test_the_repaired_model_answers_more_like_the_dense_one(problem):
    """Against the same units removed without a repair."""
    case = problem(ratio=0.6)
    found = METHODS["one-shot"].run(case)
    bare = slice_units(case.teacher, found.masks).eval()
    dense = predict(case.teacher, case.held_out, case.tokenizer)
    lost = {
        name: divergence(dense, predict(model, case.held_out, case.tokenizer))
        for name, model in {"repaired": found.model, "bare": bare}.items()
    }
    assert lost["repaired"] < lost["bare"]
