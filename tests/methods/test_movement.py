"""Movement pruning: the share that is asked for, at every granularity; what is empty is sliced; fillings train."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import movement
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import pruning_ratio
from leanformer.structure.masks import applied
from leanformer.structure.surgery import slice_units

MOVEMENT = METHODS["movement"]
ONE_UNIT = {"unit": 0.05, "head": 0.125, "neuron": 0.02, "weight": 0.001, "block": 0.01, "hybrid": 0.01}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks that fit a model of 16 dimensions."""
    monkeypatch.setattr(movement, "BLOCK", 4)


def zeros(model):
    """How many weights of all matrices are zero, and how many there are."""
    view = EncoderView(model)
    matrices = [matrix for layer in range(view.n_layers) for matrix in view.matrices(layer).values()]
    return sum(int((matrix == 0).sum()) for matrix in matrices), sum(matrix.numel() for matrix in matrices)


@pytest.mark.parametrize(
    "scores", ["usual", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("sum", "adam"))]
)
@pytest.mark.parametrize("selection", ["global", pytest.param("local", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("granularity", MOVEMENT.granularities)
def test_the_ratio_is_met_within_one_unit(problem, granularity, selection, scores):
    case = problem(
        granularity, ratio=0.5, options=MOVEMENT.settings({"selection": selection, "scores": scores})
    )
    found = MOVEMENT.run(case)
    dense = EncoderView(case.teacher)
    assert pruning_ratio(dense, found.masks, granularity) == pytest.approx(0.5, abs=ONE_UNIT[granularity])
    assert found.training["curve"]
    assert not any(name.startswith("gates") for name, _ in found.model.named_parameters())
    left = EncoderView(found.model).prunable_weights()
    if granularity in ("unit", "head", "neuron"):
        assert left == EncoderView(slice_units(case.teacher, found.masks)).prunable_weights()
        assert zeros(found.model)[0] == 0
    else:
        removed, whole = zeros(found.model)
        live = dense.prunable_weights() * (1 - pruning_ratio(dense, found.masks, granularity))
        assert whole - removed <= live + 1  # fewer where a unit that was sliced had other weights


def test_what_moved_towards_zero_is_what_leaves(problem, monkeypatch):
    """The gates' scores decide: those that training has driven down are closed."""
    kept = {}
    build = movement.movement_gates

    def remembered(*given):
        kept["gates"] = build(*given)
        return kept["gates"]

    monkeypatch.setattr(movement, "movement_gates", remembered)
    found = MOVEMENT.run(problem("unit", ratio=0.4, options=MOVEMENT.settings({})))
    scores = {key: gate.scores.detach() for key, gate in kept["gates"].each()}
    assert all((score != 0).any() for score in scores.values())
    assert any(not mask.all() for mask in found.masks.values())
    assert {key: mask.tolist() for key, mask in found.masks.items()} == {
        key: gate.mask.tolist() for key, gate in kept["gates"].each()
    }


def test_single_weights_leave_by_magnitude_unless_they_move(problem):
    """Raw sums of a trained model's gradients are noise that grows with the weight: the largest would go first."""
    case = problem("weight", ratio=0.5, options=MOVEMENT.settings({"selection": "local"}))
    view = EncoderView(case.teacher)
    gates = movement.movement_gates(case, view)
    gates.select(1.0)
    for (layer, name), mask in gates.masks().items():
        sizes = view.matrices(layer)[name].abs()
        assert sizes[mask == 0].max() <= sizes[mask == 1].min()


@pytest.mark.parametrize("granularity", ["unit", "block"])
def test_other_scores_can_not_start_at_magnitudes(problem, granularity):
    case = problem(granularity, ratio=0.5, options=MOVEMENT.settings({"scores": "magnitude"}))
    with pytest.raises(BudgetError, match=f"granularity {granularity}"):
        movement.movement_gates(case, EncoderView(case.teacher))


@pytest.mark.parametrize("granularity", ["block", "hybrid"])
def test_masked_equals_sliced(problem, granularity):
    case = problem(granularity, ratio=0.8, options=MOVEMENT.settings({}))
    view = EncoderView(case.teacher)
    gates = movement.movement_gates(case, view)
    with torch.no_grad():
        for _, gate in gates.each():
            gate.scores.copy_(torch.randn(gate.scores.shape, generator=torch.Generator().manual_seed(1)))
    gates.select(1.0)
    masks = movement.of_matrices(view, gates.masks())
    tokens = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad(), applied(case.teacher, gates.masks()):
        expected = case.teacher(input_ids=tokens).logits
    with torch.no_grad():
        movement.make_permanent(case.teacher, masks)
        small, _ = movement.without_empty_units(case.teacher)
        torch.testing.assert_close(small(input_ids=tokens).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.thorough
def test_filled_zeros_train_again(problem):
    options = MOVEMENT.settings({"fill": "yes"})
    found = MOVEMENT.run(problem("hybrid", ratio=0.6, options=options))
    assert zeros(found.model)[0] == 0
    assert {kind for _, kind in found.masks} == {"head", "neuron"}
    view = EncoderView(found.model)
    assert view.width(0) == int(found.masks[0, "neuron"].sum())
    assert found.training["before_filling"]["curve"]


@pytest.mark.thorough
def test_a_penalty_closes_and_none_keeps(problem, monkeypatch):
    from leanformer.methods import steps

    recipe = steps.recovery_config
    monkeypatch.setattr(steps, "recovery_config", lambda *given: replace(recipe(*given), max_steps=60))
    left = {}
    for weight in (0.0, 1000.0):
        options = MOVEMENT.settings({"selection": "threshold", "lambda": weight})
        case = problem("neuron", folder=f"lambda-{weight:g}", options=options)
        found = MOVEMENT.run(case)
        left[weight] = sum(int(mask.sum()) for mask in found.masks.values())
    assert left[1000.0] < left[0.0]
