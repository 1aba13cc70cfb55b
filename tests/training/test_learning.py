"""A training that learned nothing is seen by its loss."""

import pytest
import torch

from leanformer.training.learning import HEAVY, has_learned, is_heavy, weights_of


@pytest.mark.parametrize(
    ("losses", "learned"),
    [
        ([2.32, 2.17, 2.2, 2.05], False),
        ([0.91, 0.44, 0.34, 0.2], True),
        ([1.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.81, 0.81], False),  # what it ends with counts
        ([], True),
    ],
)
def test_a_loss_that_stays_where_it_was(losses, learned):
    assert has_learned([{"step": step, "loss": loss} for step, loss in enumerate(losses)]) is learned


def test_only_heavy_damage_is_taught_at_a_high_rate():
    assert [is_heavy(damage) for damage in (None, 0.0, HEAVY, HEAVY + 0.01)] == [False, False, False, True]


def test_the_weights_are_a_copy(tiny_model):
    model = tiny_model("bert")
    kept = weights_of(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    model.load_state_dict(kept)
    assert any(weight.abs().sum() > 0 for weight in model.parameters())
