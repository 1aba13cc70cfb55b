"""Scores of units: magnitudes by hand, and the greedy removal order against brute force."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.activations import Moment, second_moments
from leanformer.structure.importance import (
    damped,
    removal_order,
    removal_orders,
    unit_magnitude,
    weight_magnitude,
)


def problem(d: int, seed: int = 0, hidden: int = 5) -> tuple[torch.Tensor, Moment]:
    """A random weight (hidden, d) and the second moment of correlated inputs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(60, d, generator=generator) @ torch.randn(d, d, generator=generator)
    x = torch.cat([x, torch.ones(60, 1)], dim=1)
    return torch.randn(hidden, d, generator=generator), Moment(x.T @ x, torch.ones(60))


def refit_error(weight: torch.Tensor, moment: Moment, removed: list[int]) -> float:
    """Least damped squared error when these input columns are gone and all others, and the bias, re-fitted."""
    second = damped(moment.second.double())
    full = torch.cat([weight.double(), torch.zeros(len(weight), 1).double()], dim=1)
    kept = [column for column in range(len(second)) if column not in removed]
    solved = torch.linalg.solve(second[kept][:, kept], second[kept] @ full.T).T  # (hidden, kept)
    change = full.clone()
    change[:, kept] -= solved
    return float(((change @ second) * change).sum())


def greedy(weight: torch.Tensor, moment: Moment, unit_size: int) -> tuple[list[int], list[float]]:
    """Try every unit at every step."""
    units = weight.shape[1] // unit_size
    gone: list[int] = []
    errors = [0.0]

    def columns(chosen: list[int]) -> list[int]:
        return [unit * unit_size + offset for unit in chosen for offset in range(unit_size)]

    while len(gone) < units:
        error, unit = min(
            (refit_error(weight, moment, columns([*gone, unit])), unit)
            for unit in range(units)
            if unit not in gone
        )
        gone.append(unit)
        errors.append(error)
    return gone, errors


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("unit_size", [1, 3])
def test_one_at_a_time_is_what_brute_force_finds(seed, unit_size):
    weight, moment = problem(9, seed)
    order = removal_order(weight, moment, unit_size)
    wanted, errors = greedy(weight, moment, unit_size)
    assert order.order.tolist() == wanted
    assert torch.allclose(order.errors, torch.tensor(errors), rtol=1e-4)


@pytest.mark.parametrize("unit_size", [1, 2, 4])
@pytest.mark.parametrize("at_once", [1, 3, 5, 100])
def test_each_unit_leaves_once_and_errors_never_fall(unit_size, at_once):
    weight, moment = problem(16)
    order = removal_order(weight, moment, unit_size, at_once)
    assert sorted(order.order.tolist()) == list(range(16 // unit_size))
    assert order.errors[0] == 0
    assert len(order.errors) == 16 // unit_size + 1
    assert (order.errors.diff() >= 0).all()


@pytest.mark.parametrize("unit_size", [1, 2])
@pytest.mark.parametrize("at_once", [1, 3, 4])
def test_errors_are_those_of_the_refitted_layer(unit_size, at_once):
    weight, moment = problem(12, seed=1)
    order = removal_order(weight, moment, unit_size, at_once)
    units = 12 // unit_size
    for removed in sorted({*range(0, units, at_once), units}):  # after whole rounds the errors are exact
        columns = [
            u * unit_size + offset for u in order.order[:removed].tolist() for offset in range(unit_size)
        ]
        assert order.errors[removed] == pytest.approx(refit_error(weight, moment, columns), rel=1e-4)


def test_one_of_two_equal_neurons_leaves_at_almost_no_cost():
    weight, moment = problem(8)
    again = torch.tensor([*range(8), 2, 8])  # neuron 8 repeats neuron 2; the constant stays last
    twice = Moment(moment.second[again][:, again], moment.weights)
    order = removal_order(torch.cat([weight, weight[:, 2:3]], dim=1), twice, unit_size=1)
    assert order.order[0] in (2, 8)
    assert order.errors[1] < 0.05 * refit_error(weight, moment, [2])
    assert {2, 8} != set(order.order[:2].tolist())  # its twin is needed now


def test_two_equal_neurons_that_leave_together_are_not_called_free():
    weight, moment = problem(8)
    again = torch.tensor([*range(8), 2, 8])
    twice = Moment(moment.second[again][:, again], moment.weights)
    order = removal_order(torch.cat([weight, weight[:, 2:3]], dim=1), twice, unit_size=1, at_once=2)
    alone = removal_order(weight, moment, unit_size=1)
    assert set(order.order[:2].tolist()) == {2, 8}
    assert order.errors[2] >= 0.5 * alone.errors[1]


def test_a_silent_unit_leaves_first():
    weight, moment = problem(12)
    weight[:, 8:12] = 0.0
    order = removal_order(weight, moment, unit_size=4)
    assert order.order[0] == 2
    assert order.errors[1] == pytest.approx(0.0, abs=1e-6)
    assert order.scores.tolist()[2] == 0.0
    assert sorted(order.scores.tolist()) == [0.0, 1.0, 2.0]
    assert order.scores[order.order[-1]] == 2.0


@pytest.mark.parametrize("family", ["bert", "modernbert", "mpnet"])
def test_orders_cover_heads_and_neurons(tiny_model, family):
    model = tiny_model(family)
    ids = torch.arange(5, 45).view(4, 10)
    moments = second_moments(model, [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}], seed=0)
    orders = removal_orders(EncoderView(model), moments)
    assert {key: len(order.order) for key, order in orders.items()} == {
        (layer, kind): size for layer in (0, 1) for kind, size in (("head", 4), ("neuron", 64))
    }
    assert all(torch.isfinite(order.errors).all() for order in orders.values())


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_magnitudes_by_hand(tiny_model, family):
    view = EncoderView(tiny_model(family))
    matrices = view.matrices(1)
    units, weights = unit_magnitude(view), weight_magnitude(view)
    head = torch.cat(
        [
            *(matrices[name][8:16].flatten() for name in ("query", "key", "value")),
            matrices["attention_out"][:, 8:16].flatten(),
        ]
    )
    assert units[1, "head"][1] == pytest.approx(float(head.square().mean().sqrt()))
    both = [5, 69] if view.family.gated else [5]
    neuron = torch.cat([matrices["ffn_in"][both].flatten(), matrices["ffn_out"][:, 5]])
    assert units[1, "neuron"][5] == pytest.approx(float(neuron.square().mean().sqrt()))
    assert torch.equal(weights[1, "ffn_out"], matrices["ffn_out"].abs())
    assert set(weights) == {(layer, name) for layer in (0, 1) for name in matrices}


@pytest.mark.parametrize(("unit_size", "at_once"), [(1, 1), (1, 12), (32, 1)])
def test_errors_stay_exact_where_moments_are_not_quite_symmetric(unit_size, at_once):
    """All units gone, whatever the order: the error is that of the constant alone. Rounding must not grow on the way.

    Sums of float32 products in two orders differ in the last digits, and an inverse multiplies that.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(2000, 384, generator=generator) + 30, torch.ones(2000, 1)], dim=1)
    second = (x.T @ x).double()
    second *= 1 + 1e-8 * torch.randn(385, 385, generator=generator, dtype=torch.float64)
    weight = torch.randn(48, 384, generator=generator)
    found = removal_order(weight, Moment(second, torch.ones(2000)), unit_size, at_once)
    exact = damped(second)
    alone = exact[:-1, :-1] - torch.outer(exact[:-1, -1], exact[-1, :-1]) / exact[-1, -1]
    expected = float(((weight.double() @ alone) * weight.double()).sum())
    assert float(found.errors[-1]) == pytest.approx(expected, rel=1e-4)
    assert sorted(found.order.tolist()) == list(range(384 // unit_size))


def test_a_weight_that_is_not_a_number_is_refused():
    weight, moment = problem(6)
    weight[2, 3] = torch.nan
    with pytest.raises(ModelError, match="not finite numbers"):
        removal_order(weight, moment, 1)
