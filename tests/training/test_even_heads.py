"""The even cut: all heads of a layer alike, the budget met by what is computed, and close to the best there is."""

from itertools import product

import pytest
import torch

from leanformer.structure.masks import QUERY_KEY, VALUE_OUTPUT
from leanformer.training.even_heads import EvenHeads
from leanformer.training.straight_through import Ramp

HEADS, SIZE, NEURONS = 3, 8, 10
KEYS = {QUERY_KEY: HEADS * SIZE, VALUE_OUTPUT: HEADS * SIZE, "neuron": NEURONS}


def drawn(layers=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = {
        (i, kind): torch.rand(n, generator=generator) for i in range(layers) for kind, n in KEYS.items()
    }
    costs = {key: torch.full_like(score, 3.0 if key[1] == "neuron" else 2.0) for key, score in scores.items()}
    return scores, costs


def cut(ratio, layers=2, multiple=2):
    return EvenHeads(Ramp(0.0, 0.5, ratio), dict.fromkeys(range(layers), HEADS), multiple)


def padded_cost(masks, costs, layers=2):
    """What is computed: heads padded to the layer's largest."""
    whole = 0.0
    for layer in range(layers):
        parts = [masks[layer, kind].view(HEADS, SIZE) for kind in (QUERY_KEY, VALUE_OUTPUT)]
        heads = sum(int(part.any()) for part in parts[1])
        sizes = sum(int(part.sum(dim=1).max()) for part in parts)
        whole += 2.0 * heads * sizes + float((masks[layer, "neuron"] * costs[layer, "neuron"]).sum())
    return whole


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_budget_is_met_by_what_is_computed_and_heads_are_alike(ratio, seed):
    scores, costs = drawn(seed=seed)
    masks = cut(ratio)(scores, costs, 1.0)
    total = sum(float(cost.sum()) for cost in costs.values())
    cost = padded_cost(masks, costs)
    closed = sum(int((masks[layer, "neuron"] == 0).sum()) for layer in range(2))
    assert cost <= (1 - ratio) * total + 1e-6
    assert closed == 0 or cost > (1 - ratio) * total - 3.0
    for layer, kind in product(range(2), (QUERY_KEY, VALUE_OUTPUT)):
        sizes = {int(size) for size in masks[layer, kind].view(HEADS, SIZE).sum(dim=1)} - {0}
        assert len(sizes) <= 1
        assert all(size % 2 == 0 for size in sizes)


def test_nothing_comes_back():
    scores, costs = drawn()
    selection, before = cut(0.8), None
    for step in range(1, 12):
        masks = selection(scores, costs, step / 20)
        if before is not None:
            assert all((masks[key] <= before[key]).all() for key in masks)
        before = masks
        generator = torch.Generator().manual_seed(step)
        for key, mask in masks.items():  # other scores, what is closed stays so
            scores[key] = torch.rand(mask.shape, generator=generator).masked_fill(mask == 0, -torch.inf)
    assert all(mask.all() for mask in cut(0.8)(*drawn(), 0.0).values())


@pytest.mark.parametrize("ratio", [0.3, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_close_to_the_best_of_all_choices(ratio, seed):
    scores, costs = drawn(layers=1, seed=seed)
    allowed = (1 - ratio) * sum(float(cost.sum()) for cost in costs.values())
    neurons = scores[0, "neuron"].sort(descending=True).values.cumsum(0)
    by_head = [scores[0, kind].view(HEADS, SIZE) for kind in (QUERY_KEY, VALUE_OUTPUT)]
    best = 0.0
    for count, *sizes in product(range(HEADS + 1), (2, 4, 6, 8), (2, 4, 6, 8)):
        left = int((allowed - 2.0 * count * sum(sizes)) // 3.0)
        if left < 0:
            continue
        of_head = sum(
            part.topk(size, dim=1).values.sum(dim=1) for part, size in zip(by_head, sizes, strict=True)
        )
        bought = float(neurons[min(left, NEURONS) - 1]) if left else 0.0
        best = max(best, float(of_head.topk(count).values.sum()) + bought)
    masks = cut(ratio, layers=1)(scores, costs, 1.0)
    found = sum(float((scores[key] * mask).sum()) for key, mask in masks.items())
    assert 0.93 * best <= found <= best + 1e-5
