"""Scores that add up gradients: exactly -dL/dM, also of what is closed, and no optimiser knows them."""

import pytest
import torch

from leanformer.training.straight_through import Ramp, TopOfAll
from leanformer.training.summed import Summed, SummedGates


def gates_of(gates, final=0.5):
    costs = {key[1]: 1.0 for key in gates}
    return SummedGates(gates, TopOfAll(Ramp(0.0, 1.0, final)), costs, refreshes=10)


@pytest.mark.parametrize("block", [None, (4, 4)])
def test_a_score_is_minus_the_sum_of_its_gradients(block):
    gate = Summed((6, 7), block)
    gates = gates_of({(0, "ffn_in"): gate})
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(gate.scores)
    for closed in range(3):
        with torch.no_grad():
            gate.mask.flatten()[closed] = 0.0  # what is closed goes on moving
        direction = torch.randn(6, 7, generator=generator)
        loss = (gate() * direction).sum() ** 2
        gradient = 2 * (gate.spread(gate.mask) * direction).sum() * direction
        size = block or (1, 1)
        for row in range(total.shape[0]):
            for column in range(total.shape[1]):
                part = gradient[
                    row * size[0] : (row + 1) * size[0], column * size[1] : (column + 1) * size[1]
                ]
                total[row, column] -= part.sum()
        gates.watch(loss)
    torch.testing.assert_close(gate.scores, total, rtol=1e-4, atol=1e-4)
    assert float(gate.scores.abs().min()) > 0


def test_no_optimiser_knows_them_and_checkpoints_do():
    gates = gates_of({(0, "head"): Summed((4,)), (1, "neuron"): Summed((8,))})
    assert list(gates.parameters()) == []
    assert gates.groups() == []
    assert {name for name in gates.state_dict() if name.endswith("scores")} == {
        "gates.0.scores",
        "gates.1.scores",
    }


def test_what_sank_is_closed():
    gate = Summed((4,))
    gates = gates_of({(0, "head"): gate})
    gates.watch((gate() * torch.tensor([3.0, -1.0, 2.0, 0.5])).sum())
    gates.select(1.0)
    assert gate.mask.tolist() == [0.0, 1.0, 0.0, 1.0]
