"""Head pruning by trained gates: the share that is asked for, or what lambda closes; folding is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.methods import steps
from leanformer.methods.l0_heads import by_rank, opened
from leanformer.methods.registry import METHODS
from leanformer.search.pricing import budgeted_space
from leanformer.structure.cost import pruning_ratio

L0 = METHODS["l0-heads"]


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_exactly_the_share_of_heads_leaves(problem, ratio):
    case = problem(granularity="head", ratio=ratio, options=L0.settings({}))
    found = L0.run(case)
    small = EncoderView(found.model)
    assert sum(small.heads(layer) for layer in range(2)) == 8 * (1 - ratio)
    assert pruning_ratio(EncoderView(case.teacher), found.masks, "head") == ratio
    assert len(found.heads["removed"]) == 8 * ratio
    assert [len(row) for row in found.heads["scores"]] == [4, 4]
    assert found.training["curve"]
    assert not any(name.startswith("gates") for name, _ in found.model.named_parameters())


def test_a_large_lambda_closes_all_and_a_tiny_one_none(problem, monkeypatch):
    recipe = steps.recovery_config
    monkeypatch.setattr(steps, "recovery_config", lambda *given: replace(recipe(*given), max_steps=80))
    for weight, folder in (("100", "closing"), ("1e-9", "open")):
        case = problem(granularity="head", folder=folder, options=L0.settings({"lambda": weight}))
        heads = EncoderView(L0.run(case).model)
        assert sum(heads.heads(layer) for layer in range(2)) == (0 if weight == "100" else 8)


def test_rank_decides_over_all_layers(tiny_model):
    view = EncoderView(tiny_model("bert"))
    space = budgeted_space(view, Budget(0.5), "head")
    alphas = {
        (0, "head"): torch.tensor([3.0, 2.0, 1.0, 0.5]),
        (1, "head"): torch.tensor([4.0, -1.0, -2.0, -3.0]),
    }
    masks = by_rank(space, alphas)
    assert masks[0, "head"].tolist() == [1, 1, 1, 0]
    assert masks[1, "head"].tolist() == [1, 0, 0, 0]


def test_a_gate_at_zero_is_closed():
    assert opened({(0, "head"): torch.tensor([0.0, 0.01, 1.0])})[0, "head"].tolist() == [0, 1, 1]
