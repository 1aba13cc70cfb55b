"""From budgets to spaces: each constraint is met, and what is out of reach is refused with the nearest in reach."""

from __future__ import annotations

import numpy as np
import pytest

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.measure.latency.costs import SublayerCosts
from leanformer.measure.latency.table import Setting
from leanformer.search.pricing import Price, budgeted_space
from leanformer.search.space import TOLERANCE
from leanformer.structure.cost import size_mb
from leanformer.structure.surgery import slice_units

SETTING = Setting("torch", "fp32", 1, 32, 1)
HEADS, WIDTH, LAYERS = 4, 96, 4
ATTENTION_MS, FFN_MS, REST_MS = 2.0, 3.0, 1.0


@pytest.fixture
def view(tiny_model) -> EncoderView:
    return EncoderView(tiny_model("bert", layers=LAYERS, hidden=32, heads=HEADS, width=WIDTH))


def price(deadline_ms: float) -> Price:
    """Attention costs the same from three heads on; the FFN costs in proportion."""
    attention = ((0, 0.0), (1, 0.8), (2, 1.6), (3, ATTENTION_MS), (HEADS, ATTENTION_MS))
    costs = SublayerCosts(SETTING, attention, ((0, 0.0), (WIDTH, FFN_MS)), layer_ms=0.0, fixed_ms=REST_MS)
    return Price(costs, deadline_ms)


def predicted(space, candidate, priced: Price) -> float:
    kept = {
        (group.layer, group.kind): group.kept(level)
        for group, level in zip(space.groups, candidate, strict=True)
    }
    return priced.costs.predict_ms([(kept[layer, "head"], kept[layer, "neuron"]) for layer in range(LAYERS)])


@pytest.mark.parametrize("deadline_ms", [6.0, 11.0, 18.0])
def test_a_deadline_is_met_by_every_candidate(view, deadline_ms):
    priced = price(deadline_ms)
    space = budgeted_space(view, Budget(latency_ms=deadline_ms), "unit", priced)
    generator = np.random.default_rng(0)
    for candidate in [space.uniform(), *(space.random(generator) for _ in range(10))]:
        if space.fits(candidate):
            assert predicted(space, candidate, priced) == pytest.approx(deadline_ms, abs=0.4)
    assert space.fits(space.uniform())


def test_a_fourth_head_that_costs_nothing_is_kept(view):
    space = budgeted_space(view, Budget(latency_ms=18.0), "unit", price(18.0))
    generator = np.random.default_rng(0)
    heads = {level for _ in range(20) for level in space.random(generator)[::2]}
    assert 3 not in heads
    assert HEADS in heads


def test_megabytes_become_a_ratio(view):
    dense_mb = size_mb(view.model)
    asked = dense_mb - 0.4 * view.prunable_weights() * 4 / 1e6
    space = budgeted_space(view, Budget(size_mb=asked), "unit")
    assert space.pruning_ratio == pytest.approx(0.4 + TOLERANCE)
    from leanformer.search.realise import masks_of
    from leanformer.structure.importance import unit_magnitude

    small = slice_units(view.model, masks_of(space, space.uniform(), unit_magnitude(view)))
    assert size_mb(small) == pytest.approx(asked, rel=0.02)
    assert size_mb(small) <= asked


@pytest.mark.parametrize("deadline_ms", [None, 12.0])
def test_no_candidate_that_fits_goes_beyond_the_megabytes_or_under_the_ratio(view, deadline_ms):
    """Not even by the tolerance of the search: "at most" is meant so, and a run that misses it ends with code 1."""
    priced = None if deadline_ms is None else price(deadline_ms)
    prunable = view.prunable_weights()
    weights = budgeted_space(view, Budget(0.5), "unit")
    allowed_mb = size_mb(view.model) - 0.6 * prunable * 4 / 1e6
    generator = np.random.default_rng(2)
    for budget, least in (
        (Budget(size_mb=allowed_mb, latency_ms=deadline_ms), 0.6),
        (Budget(0.6, latency_ms=deadline_ms), 0.6 - TOLERANCE),
    ):
        space = budgeted_space(view, budget, "unit", priced)
        found = [space.random(generator) for _ in range(20)]
        ratios = [weights.ratio(candidate) for candidate in found if space.fits(candidate)]
        assert len(ratios) > 10
        assert min(ratios) >= least


def test_the_stricter_of_ratio_and_megabytes_holds(view):
    generous = size_mb(view.model) - 0.2 * view.prunable_weights() * 4 / 1e6
    assert budgeted_space(view, Budget(0.7, size_mb=generous), "unit").pruning_ratio == 0.7


def test_time_and_weights_hold_together(view):
    priced = price(12.0)
    space = budgeted_space(view, Budget(0.6, latency_ms=12.0), "unit", priced)
    weights = budgeted_space(view, Budget(0.6), "unit")
    generator = np.random.default_rng(1)
    for _ in range(10):
        candidate = space.random(generator)
        if space.fits(candidate):
            assert predicted(space, candidate, priced) <= 12.4
            assert weights.ratio(candidate) >= 0.6 - TOLERANCE


def test_an_open_budget_takes_half(view):
    assert budgeted_space(view, Budget(), "unit").pruning_ratio == 0.5
    assert budgeted_space(view, Budget(), "weight").pruning_ratio == 0.5


@pytest.mark.parametrize(
    ("budget", "granularity", "deadline_ms", "sentence"),
    [
        (
            Budget(latency_ms=0.5),
            "unit",
            0.5,
            r"0.5 ms can not be reached.*takes 1 ms in torch fp32.*nearest is 1.4",
        ),
        (
            Budget(latency_ms=30.0),
            "unit",
            30.0,
            r"takes 21 ms on the target and meets the budget of 30 ms as it is",
        ),
        (
            Budget(latency_ms=9.0),
            "weight",
            9.0,
            "zeros among the weights make no file smaller.*--granularity unit",
        ),
        (Budget(size_mb=5.0), "weight", None, "zeros among the weights"),
        (Budget(size_mb=0.01), "unit", None, r"0.01 MB can not be reached.*the nearest is --size-mb"),
        (Budget(size_mb=500.0), "unit", None, "meets --size-mb 500 as it is"),
    ],
)
def test_what_is_out_of_reach_is_refused(view, budget, granularity, deadline_ms, sentence):
    with pytest.raises(BudgetError, match=sentence):
        budgeted_space(view, budget, granularity, None if deadline_ms is None else price(deadline_ms))


def test_a_price_can_be_tightened():
    assert price(10.0).scaled(0.5).deadline_ms == 5.0
