"""What open gates cost, by hand."""

from __future__ import annotations

import pytest
import torch

from leanformer.training.penalties import ExpectedOpen, Ramped, TowardsShare


def test_the_expected_number_of_open_gates():
    found = ExpectedOpen(0.5)({(0, "head"): torch.tensor([0.2, 0.4]), (1, "head"): torch.tensor([1.0])}, 0.3)
    assert float(found) == pytest.approx(0.8)


def test_the_target_falls_in_a_straight_line_to_its_end():
    penalty = TowardsShare(0.4, {"head": 1.0}, ramp=0.5)
    assert [penalty.target(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == pytest.approx(
        [1.0, 0.7, 0.4, 0.4]
    )


def test_what_is_missed_is_weighed_by_cost():
    penalty = TowardsShare(0.5, {"head": 3.0, "neuron": 1.0})
    with torch.no_grad():
        penalty.multipliers.copy_(torch.tensor([2.0, 10.0]))
    open_ = {(0, "head"): torch.tensor([1.0]), (0, "neuron"): torch.tensor([0.0])}  # 3 of 4
    assert float(penalty(open_, 1.0).detach()) == pytest.approx(2 * 0.25 + 10 * 0.25**2)


def test_a_penalty_grows_from_nothing_to_its_weight():
    open_ = {(0, "head"): torch.tensor([0.2, 0.4]), (1, "query"): torch.tensor([[1.0, 0.0], [0.0, 0.0]])}
    penalty = Ramped(10.0, 0.1, 0.5)  # the mean of 0.3 and 0.25
    assert [float(penalty(open_, at)) for at in (0.0, 0.1, 0.3, 0.5, 1.0)] == pytest.approx(
        [0.0, 0.0, 1.375, 2.75, 2.75]
    )
