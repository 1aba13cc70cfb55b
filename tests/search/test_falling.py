"""The space of kept tokens: falling candidates, on the budget, reckoned as the model is."""

import numpy as np
import pytest
import torch

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.measure.latency.costs import SublayerCosts
from leanformer.measure.latency.table import Setting
from leanformer.search.falling import TokenRealiser, timed_token_space, token_space
from leanformer.search.pricing import Price, budgeted_space
from leanformer.structure.cost import macs_share, pruning_ratio
from leanformer.structure.masks import TOKEN
from leanformer.structure.surgery import slice_units
from leanformer.structure.tokens import with_kept_tokens


@pytest.fixture
def model(tiny_model):
    return tiny_model("bert", layers=4).eval()


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.7])
def test_candidates_fall_and_meet_the_ratio(model, ratio):
    view = EncoderView(model)
    space = token_space(view, ratio)
    realiser = TokenRealiser(model, with_kept_tokens(model, [0.9, 0.8, 0.7, 0.6]), space)
    generator = np.random.default_rng(0)
    candidate = space.uniform()
    for step in range(30):
        candidate = space.random(generator) if step % 3 == 0 else space.swap(candidate, generator)
        assert list(candidate) == sorted(candidate, reverse=True)
        if space.fits(candidate):
            assert pruning_ratio(view, realiser.masks(candidate), TOKEN) == pytest.approx(ratio, abs=0.011)
            assert space.ratio(candidate) == pytest.approx(ratio, abs=0.011)  # as the report has it
    small = EncoderView(realiser.build(candidate))
    kept = [small.kept_tokens(layer) for layer in range(4)]
    assert kept == [level / 64 for level in candidate]


def test_layers_without_heads_drop_nothing(model):
    heads = torch.zeros(4)
    lean = slice_units(model, {(1, "head"): heads})
    view = EncoderView(lean)
    space = token_space(view, 0.3)
    assert [group.layer for group in space.groups] == [0, 2, 3]
    candidate = space.uniform()
    masks = TokenRealiser(lean, with_kept_tokens(lean, [0.9, 0.9, 0.8, 0.7]), space).masks(candidate)
    assert pruning_ratio(view, masks, TOKEN) == pytest.approx(0.3, abs=0.011)


def test_multiply_accumulates_know_tokens(model):
    view = EncoderView(model)
    half = {(layer, TOKEN): (torch.arange(64) < 32).float() for layer in range(4)}
    with_square = macs_share(view, half, 400.0)
    assert with_square < macs_share(view, half, 10.0) < 1 - pruning_ratio(view, half, TOKEN) + 0.01
    assert macs_share(view, {}, 10.0) == pytest.approx(1.0)


def test_more_than_all_layers_but_the_first_attention_is_refused(model):
    with pytest.raises(BudgetError, match="the first attention reads all tokens"):
        token_space(EncoderView(model), 0.97)


def timed(tokens, square=0.0):
    """Attention and FFN in proportion to tokens, and a square of them in attention."""
    attention = 0.02 * tokens + square * tokens**2
    knots = ((0, 0.0), (4, attention)), ((0, 0.0), (64, 0.05 * tokens))
    return SublayerCosts(Setting("torch", "fp32", 1, tokens, 1), *knots, layer_ms=0.0, fixed_ms=1.0)


@pytest.mark.parametrize("square", [0.0, 0.001])
@pytest.mark.parametrize("deadline_ms", [5.0, 8.0])
def test_a_deadline_is_met_by_the_lengths(model, square, deadline_ms):
    view = EncoderView(model)
    priced = Price(timed(32, square), deadline_ms, (timed(16, square), timed(8, square)))
    space = budgeted_space(view, Budget(latency_ms=deadline_ms), TOKEN, priced)
    candidate = space.uniform()
    assert space.fits(candidate)
    left, reckoned = 32.0, 1.0
    for level in candidate:
        reckoned += 0.02 * left + square * left**2
        left = 32.0 * level / 64
        reckoned += 0.05 * left
    allowed = 0.1 + (0.6 if square else 0.0)  # between measured lengths a square is taken for a line
    assert reckoned == pytest.approx(deadline_ms, abs=allowed)


def test_deadlines_out_of_reach_are_refused(model):
    view = EncoderView(model)
    costs = (timed(32), timed(8))
    with pytest.raises(BudgetError, match="the nearest is"):
        timed_token_space(view, costs, 1.2)
    with pytest.raises(BudgetError, match="as it is"):
        timed_token_space(view, costs, 50.0)
    both = Budget(pruning_ratio=0.5, latency_ms=5.0)
    with pytest.raises(BudgetError, match="either"):
        budgeted_space(view, both, TOKEN, Price(costs[0], 5.0, costs[1:]))
