"""One cut through dimensions and neurons that leaves all heads of a layer with the same sizes.

Heads of different sizes are padded to the layer's largest when they are sliced, so that a ragged cut counts as
removed what is still computed. Here a layer's choice is how many heads it keeps, and of how many query-key and value
dimensions each; what it costs is what is computed. Ours: neither GRAIN nor another of the papers does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from leanformer.structure.masks import QUERY_KEY, VALUE_OUTPUT, Masks
from leanformer.training.penalties import Key
from leanformer.training.straight_through import Ramp, Selection, top
from leanformer.training.watched import LOWEST

HALVINGS = 50


@dataclass(frozen=True)
class EvenHeads(Selection):
    """The largest sum of scores that a budget buys, heads of a layer being alike.

    A Lagrangian: at one price for all layers each takes the choice whose score less its cost at that price is
    largest, and the price is the lowest at which all of them are within the budget. What is left over buys neurons,
    as long as there are any: what was closed before stays closed, so that a cut may end below its budget by a head.

    Attributes:
        removed: The share of the whole cost that is closed.
        heads: By layer, how many heads its dimensions belong to.
        multiple: Heads keep multiples of this of their dimensions, or all of them.
    """

    removed: Ramp
    heads: Mapping[int, int]
    multiple: int

    def __call__(self, scores: Mapping[Key, Tensor], costs: Mapping[Key, Tensor], progress: float) -> Masks:
        """Select; the share is met to within the cost of one neuron, from above."""
        worth = {key: score.clamp_min(0.0) for key, score in scores.items()}  # nothing, of what is closed
        share = self.removed.at(progress)
        if share == 0:
            return {key: (score > LOWEST).float() for key, score in scores.items()}
        allowed = (1.0 - share) * sum(float(cost.double().sum()) for cost in costs.values()) * (1 + 1e-9)
        choices = {layer: self._choices(worth, costs, layer) for layer in self.heads}
        neurons = [key for key in worth if key[1] == "neuron"]
        flat = torch.cat([worth[key] for key in neurons])
        paid = torch.cat([costs[key] for key in neurons])

        def whole_cost(price: float) -> float:
            kept = float(paid[flat > price * paid].double().sum())
            return kept + sum(choice.at(price).cost for choice in choices.values())

        price = _lowest_price(whole_cost, allowed, float((flat / paid).max()), choices)
        taken = {layer: choice.at(price) for layer, choice in choices.items()}
        masks = {
            key: mask for layer, one in taken.items() for key, mask in self._open(worth, layer, one).items()
        }
        left = allowed - sum(one.cost for one in taken.values())
        order = flat.argsort(descending=True, stable=True)
        affordable = int(torch.searchsorted(paid[order].double().cumsum(0), left, right=True))
        open_neurons = torch.zeros_like(flat)
        open_neurons[order[:affordable]] = 1.0
        sizes = [worth[key].numel() for key in neurons]
        masks |= dict(zip(neurons, open_neurons.split(sizes), strict=True))
        return {key: masks[key] * (scores[key] > LOWEST) for key in scores}

    def _choices(self, worth: Mapping[Key, Tensor], costs: Mapping[Key, Tensor], layer: int) -> _Choices:
        """List what a layer's attention can be."""
        sizes, sums, each = [], [], []
        for key in ((layer, QUERY_KEY), (layer, VALUE_OUTPUT)):
            if key not in worth:  # queries and keys of some families stay whole
                sizes.append(torch.zeros(1, dtype=torch.long))
                sums.append(torch.zeros(self.heads[layer], 1))
                each.append(0.0)
                continue
            by_head = worth[key].view(self.heads[layer], -1)  # (heads, size)
            size = by_head.shape[1]
            sizes.append(torch.tensor([*range(self.multiple, size, self.multiple), size]))
            best = by_head.sort(dim=1, descending=True).values.cumsum(dim=1)
            sums.append(best[:, sizes[-1] - 1])  # (heads, sizes)
            each.append(float(costs[key].flatten()[0]))
        of_head = sums[0][:, :, None] + sums[1][:, None, :]  # (heads, sizes of queries, sizes of values)
        values = of_head.sort(dim=0, descending=True).values.cumsum(dim=0)
        values = torch.cat([torch.zeros_like(values[:1]), values])  # by how many heads stay, none first
        one = sizes[0][:, None] * each[0] + sizes[1][None, :] * each[1]
        count = torch.arange(len(values))[:, None, None]
        return _Choices(of_head, values.double(), (count * one).double(), sizes[0], sizes[1])

    def _open(self, worth: Mapping[Key, Tensor], layer: int, taken: _Taken) -> Masks:
        """Return the masks of the dimensions of a layer."""
        masks: Masks = {}
        for kind, size in ((QUERY_KEY, taken.query_key), (VALUE_OUTPUT, taken.value)):
            if (layer, kind) in worth:
                by_head = worth[layer, kind].view(self.heads[layer], -1)
                mask = torch.zeros_like(by_head)
                for head in taken.heads.tolist():
                    mask[head] = top(by_head[head], size)
                masks[layer, kind] = mask.flatten()
        return masks


@dataclass(frozen=True)
class _Taken:
    """What a layer's attention keeps: which heads, of which sizes, at what cost."""

    heads: Tensor
    query_key: int
    value: int
    cost: float


@dataclass(frozen=True)
class _Choices:
    """What a layer's attention can be, by (kept heads, size of queries, size of values)."""

    of_head: Tensor  # (heads, sizes of queries, sizes of values): what a head is worth at each pair of sizes
    values: Tensor  # (heads + 1, sizes of queries, sizes of values)
    costs: Tensor  # of the same shape
    query_keys: Tensor
    value_sizes: Tensor

    def at(self, price: float) -> _Taken:
        """Return the best choice at a price."""
        best = int((self.values - price * self.costs).argmax())
        count, query, value = (int(one) for one in torch.unravel_index(torch.tensor(best), self.values.shape))
        heads = self.of_head[:, query, value].topk(count).indices
        cost = float(self.costs[count, query, value])
        return _Taken(heads, int(self.query_keys[query]), int(self.value_sizes[value]), cost)


def _lowest_price(
    whole_cost: Callable[[float], float], allowed: float, highest: float, choices: Mapping[int, _Choices]
) -> float:
    """Return the lowest price at which what is taken costs no more than is allowed."""
    for choice in choices.values():
        bought = choice.costs > 0
        highest = max(highest, float((choice.values[bought] / choice.costs[bought]).max()))
    low, high = 0.0, 2.0 * highest
    if whole_cost(low) <= allowed:
        return low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if whole_cost(middle) <= allowed else (middle, high)
    return high
