"""AE-BERT from the budget to the recovered model, and killed on the way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.methods import ae_bert
from leanformer.methods.problem import Compressed
from leanformer.methods.registry import METHODS
from leanformer.search.evaluate import FIDELITIES, RECONSTRUCTION, Judge
from leanformer.search.knapsack import cheapest_allocation
from leanformer.search.strategies import overall
from leanformer.structure.cost import encoder_weights, pruning_ratio
from leanformer.structure.importance import RemovalOrder
from leanformer.tasks.predict import predict
from leanformer.training.trainer import StageBar

NAMES = ("ae-bert", "ae-bert-random")


class Killed(Exception):
    pass


def assert_same(first: Compressed, second: Compressed, case) -> None:
    assert first.masks.keys() == second.masks.keys()
    assert all(torch.equal(mask, second.masks[key]) for key, mask in first.masks.items())
    answers = [predict(found.model, case.held_out, case.tokenizer) for found in (first, second)]
    assert np.allclose(*answers, atol=1e-5)


def without_times(found: Compressed) -> dict:
    return {name: value for name, value in found.search.items() if name != "seconds"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_the_ratio_is_met_and_the_search_is_on_record(problem, name, granularity):
    case = problem(granularity, 0.6)
    found = METHODS[name].run(case)
    dense, small = EncoderView(case.teacher), EncoderView(found.model)
    assert pruning_ratio(dense, found.masks) == pytest.approx(0.6, abs=0.005)
    if granularity == "unit":
        assert 1 - encoder_weights(small) / encoder_weights(dense) == pytest.approx(0.6, abs=0.005)
    else:
        for (layer, kind), mask in found.masks.items():
            assert (small.matrices(layer)[kind][mask == 0] == 0).all()
    assert np.isfinite(predict(found.model, case.held_out, case.tokenizer)).all()
    assert not found.model.training

    candidates = found.search["candidates"]
    assert [entry["id"] for entry in candidates] == list(range(12))
    assert [entry["origin"] for entry in candidates[:2]] == ["uniform", "global"]
    assert all(abs(entry["ratio"] - 0.6) <= 0.005 for entry in candidates)
    (chosen,) = [entry for entry in candidates if entry["chosen"]]
    seeds = [entry for entry in candidates if entry["origin"] in ("uniform", "global", "reconstruction")]
    assert len(seeds) >= 2
    assert all(overall(chosen["scores"]) <= overall(entry["scores"]) for entry in seeds)
    assert found.search["decides"] == "the geometric mean of both"
    assert found.search["seconds"] > 0
    assert found.search["evaluation_rows"] == 48
    shares = [float(mask.mean()) for mask in found.masks.values()]
    assert chosen["kept"] == pytest.approx(shares, abs=0.01)


def test_evolution_swaps_and_the_paper_draws(problem, monkeypatch):
    monkeypatch.setattr(ae_bert, "CANDIDATES", 20)
    origins = {
        name: {entry["origin"] for entry in METHODS[name].run(problem(folder=name)).search["candidates"]}
        for name in NAMES
    }
    assert "swap" in origins["ae-bert"]
    assert "swap" not in origins["ae-bert-random"]
    assert "random" in origins["ae-bert-random"]


@pytest.mark.parametrize(
    ("stage", "granularity"),
    [
        ("search", "unit"),
        ("recovery", "weight"),
        pytest.param("search", "weight", marks=pytest.mark.thorough),
        pytest.param("recovery", "unit", marks=pytest.mark.thorough),
    ],
)
def test_killed_and_run_again_it_ends_the_same(problem, granularity, stage, monkeypatch):
    whole = ae_bert.run(problem(granularity, folder="whole"))
    prepare, advance, calls = Judge._prepared, StageBar.on_step_end, []

    def dies_in_search(self, candidate, fidelity):
        calls.append(candidate)
        if len(calls) == 3:
            raise Killed
        return prepare(self, candidate, fidelity)

    def dies_in_recovery(self, args, state, control, **kwargs):
        if state.global_step == 6:
            raise Killed
        advance(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        if stage == "search":
            patch.setattr(Judge, "_prepared", dies_in_search)
        else:
            patch.setattr(StageBar, "on_step_end", dies_in_recovery)
        with pytest.raises(Killed):
            ae_bert.run(problem(granularity, folder="killed"))
    case = problem(granularity, folder="killed", resume=True)
    resumed = ae_bert.run(case)
    assert_same(whole, resumed, case)
    assert without_times(whole) == without_times(resumed)
    curves = [[entry["loss"] for entry in found.training["curve"]] for found in (whole, resumed)]
    assert np.allclose(*curves, atol=1e-4)


def test_other_seeds_search_elsewhere(problem):
    records = [
        ae_bert.run_random(problem(folder=str(seed), seed=seed)).search["candidates"] for seed in (0, 1)
    ]
    assert [entry["kept"] for entry in records[0]] != [entry["kept"] for entry in records[1]]


def test_quick_is_a_quarter(problem, monkeypatch):
    monkeypatch.setattr(ae_bert, "CANDIDATES", 40)
    assert len(ae_bert.run(problem(quick=True)).search["candidates"]) == 10


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_the_judge_knows_all_fidelities(problem, granularity):
    judge, seeds = ae_bert.prepare(problem(granularity))
    values = [judge.measure(seeds[0].candidate, fidelity, 24) for fidelity in FIDELITIES]
    assert np.isfinite(values).all()
    assert len(set(values)) == len(FIDELITIES)


def test_global_magnitude_loses_the_least_squares(problem):
    judge, seeds = ae_bert.prepare(problem("weight"))
    values = {seed.origin: judge.measure(seed.candidate, RECONSTRUCTION, 0) for seed in seeds}
    assert 0 < values["global"] < values["uniform"] < 1
    matrix = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
    assert ae_bert.squares_lost(matrix).tolist() == [0, 0, 1, 5, 14]


def test_the_reconstruction_allocation_spends_where_removal_hurts(problem):
    judge, _ = ae_bert.prepare(problem())
    space = judge.realiser.space
    orders = {
        (group.layer, group.kind): RemovalOrder(
            torch.arange(group.units), torch.linspace(0, 1.0 if group.layer else 100.0, group.units + 1)
        )
        for group in space.groups
    }
    found = cheapest_allocation(space, ae_bert.level_errors(space, lambda key: orders[key].errors))
    assert space.fits(found)
    shares = space.shares(found)
    assert min(shares[:2]) > max(shares[2:])


def test_calibration_reads_enough_tokens():
    assert ae_bert.calibration_rows([[0] * 8192, [0]]) == 1
    assert ae_bert.calibration_rows([[0] * 100] * 500) == math.ceil(ae_bert.CALIBRATION_TOKENS / 100)
    assert ae_bert.calibration_rows([[0] * 10] * 5) == 5
