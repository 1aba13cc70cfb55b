"""Layer dropping: which layers each rule drops, and that the budget is met in whole layers."""

from __future__ import annotations

import pytest
import torch

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.drop_layers import layer_scores, layers_by
from leanformer.methods.registry import METHODS
from leanformer.search.depth import layers_to_drop
from leanformer.structure.cost import pruning_ratio

DROP = METHODS["drop-layers"]
RULES = DROP.options[0].choices


@pytest.mark.parametrize(
    ("rule", "count", "dropped"),
    [
        ("top", 6, [7, 8, 9, 10, 11, 12]),
        ("bottom", 4, [1, 2, 3, 4]),
        ("alternate-odd", 4, [5, 7, 9, 11]),
        ("alternate-even", 4, [6, 8, 10, 12]),
        ("alternate-odd", 7, [1, 3, 5, 7, 9, 11, 12]),  # more than every other: from the top again
        ("symmetric", 6, [4, 5, 6, 7, 8, 9]),
        ("symmetric", 5, [5, 6, 7, 8, 9]),
    ],
)
def test_rules_of_position_on_twelve_layers(rule, count, dropped):
    """Numbered from 1, as in the paper."""
    assert [layer + 1 for layer in layers_by(rule, 12, count)] == dropped


@pytest.mark.parametrize("rule", ["weight", "contribution"])
def test_rules_of_measure_drop_the_lowest(rule):
    assert layers_by(rule, 4, 2, [0.3, 0.1, 0.4, 0.2]) == [1, 3]


def test_small_weights_and_idle_layers_score_low(problem):
    case = problem(granularity="layer")
    view = EncoderView(case.teacher)
    with torch.no_grad():
        for parameter in view.layers[0].parameters():
            if parameter.ndim > 1:
                parameter.mul_(1e-3)  # hardly more than the identity and its norms
    for rule in ("weight", "contribution"):
        scores = layer_scores(case, rule)
        assert scores[0] < scores[1]
    assert layer_scores(case, "top") == []


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_is_gone_and_named(problem, rule):
    case = problem(granularity="layer", ratio=0.5, options={"strategy": rule})
    found = DROP.run(case)
    assert EncoderView(found.model).n_layers == 1
    assert pruning_ratio(EncoderView(case.teacher), found.masks) == 0.5
    (dropped,) = found.training["dropped_layers"]
    assert found.masks[dropped - 1, "layer"].item() == 0
    assert found.training["curve"]


def view_of(tiny_model, layers=6):
    return EncoderView(tiny_model("bert", layers=layers))


@pytest.mark.parametrize(
    ("budget", "count"),
    [
        (Budget(), 3),
        (Budget(0.5), 3),
        (Budget(0.504), 3),  # the tolerance of every ratio
        (Budget(0.51), 4),
        (Budget(macs_share=0.66), 3),
        (Budget(macs_share=0.67), 2),
        (Budget(0.1, macs_share=0.4), 4),
    ],
)
def test_as_few_layers_as_the_budget_allows(tiny_model, budget, count):
    assert layers_to_drop(view_of(tiny_model), budget) == count


def test_megabytes_count_the_layers_weights(tiny_model):
    view = view_of(tiny_model)
    whole = sum(parameter.numel() for parameter in view.model.parameters()) * 4e-6
    a_layer = sum(parameter.numel() for parameter in view.layers[0].parameters()) * 4e-6
    assert layers_to_drop(view, Budget(size_mb=whole - 1.5 * a_layer)) == 2
    with pytest.raises(BudgetError, match="one of the 6 layers alone is more than at most"):
        layers_to_drop(view, Budget(size_mb=whole - 6.5 * a_layer))
    with pytest.raises(BudgetError, match="the dense model meets the budget"):
        layers_to_drop(view, Budget(size_mb=whole + 1))
