"""Sequential repair: sub-layer by sub-layer, what remains also makes good what went wrong before it.

K-prune (Park et al., ICLR 2024, arXiv 2308.03449) re-fits each sub-layer of the pruned model, in order, on the pruned
model's own inputs, so that the residual stream comes back to the dense model's: errors do not add up over the layers.
The one-pass repair of `repair.py` fits on the dense inputs, one sub-layer as if all others were whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from leanformer.encoders.view import EncoderView
from leanformer.structure.activations import Moments
from leanformer.structure.together import Together

Key = tuple[int, str]

RIDGE = 1e-2
"""Pull towards the weights found so far, as a share of the mean squared input."""


@dataclass(frozen=True)
class Site:
    """What meets at the end of a sub-layer, in one batch.

    Attributes:
        key: Layer and kind of the sub-layer.
        module: Its output linear, or what holds the bias where no unit is left.
        entering: The module's input, (batch, tokens, d).
        leaving: The module's output, (batch, tokens, hidden).
        residual: What the output is added to, (batch, tokens, hidden).
        real: Which tokens are no padding, (batch, tokens) of bool.
    """

    key: Key
    module: nn.Module
    entering: Tensor
    leaving: Tensor
    residual: Tensor
    real: Tensor

    def sums(self) -> Tensor:
        """Return the residual stream behind the sub-layer, (real tokens, hidden)."""
        return (self.residual + self.leaving)[self.real].float()


Visit = Callable[[list[Site]], list[Tensor]]


@dataclass(frozen=True)
class Stream:
    """The dense model's residual stream on the calibration rows.

    Attributes:
        batches: Padded batches, without labels.
        sums: (layer, kind) -> (real tokens, hidden), the stream after the sub-layer's output is added.
        weights: (layer, kind) -> (real tokens,), what the answer hears of each token there.
    """

    batches: tuple[dict[str, Tensor], ...]
    sums: dict[Key, Tensor]
    weights: dict[Key, Tensor]


def dense_stream(model: Any, batches: Iterable[Mapping[str, Tensor]], moments: Moments) -> Stream:
    """Record the dense model's residual stream.

    Args:
        model: The dense model.
        batches: The padded batches that the moments were gathered from.
        moments: From `second_moments`; their token weights are used again.

    Returns:
        The stream.
    """
    inputs = tuple(
        {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        for batch in batches
    )
    stream = Stream(inputs, {}, {key: moment.weights for key, moment in moments.items()})

    def record(sites: list[Site]) -> list[Tensor]:
        stream.sums[sites[0].key] = torch.cat([site.sums() for site in sites])
        return [site.leaving for site in sites]

    _walk(EncoderView(model), inputs, record)
    return stream


def repair_in_sequence(small: EncoderView, stream: Stream, sparse: bool = False) -> None:
    """Re-fit the output projections one after the other, each on what really enters it by then.

    min over dW, db of sum_t w_t || s_t - (r_t + (W + dW) x_t + b + db) ||^2 + ridge ||dW||^2 with s the dense stream
    and r, x the pruned model's residual and input. Sparse matrices keep their zeros: each row gets a factor instead.

    Args:
        small: The pruned encoder, changed in place.
        stream: From `dense_stream`.
        sparse: Whether zeros must stay.
    """

    def refit(sites: list[Site]) -> list[Tensor]:
        key, module = sites[0].key, sites[0].module
        missing = stream.sums[key] - torch.cat([site.sums() for site in sites])  # (real tokens, hidden)
        weight = stream.weights[key][:, None]
        if isinstance(module, nn.Linear):
            entering = torch.cat([site.entering[site.real] for site in sites])  # (real tokens, d)
            fit = _rescale if sparse else _solve
            fit(module, entering, missing, weight)
        elif isinstance(module.bias, nn.Parameter):
            module.bias.add_((weight * missing).sum(dim=0) / weight.sum())
        return [module.forward(site.entering) for site in sites]  # a call would come here again

    _walk(small, stream.batches, refit)


def _solve(linear: nn.Linear, x: Tensor, missing: Tensor, weight: Tensor) -> None:
    """Add the ridge solution of missing = dW x + db, weighted by token; x is (tokens, d), weight (tokens, 1)."""
    if linear.bias is not None:
        x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    weighted = (x * weight).T  # (d + 1, tokens)
    second = (weighted @ x).double()
    second.diagonal().add_(RIDGE * second.diagonal().mean().clamp_min(1e-20))
    change = torch.linalg.solve(second, (weighted @ missing).double()).T.to(linear.weight.dtype)
    linear.weight.add_(change[:, : linear.in_features])
    if linear.bias is not None:
        linear.bias.add_(change[:, -1])


def _rescale(linear: nn.Linear, x: Tensor, missing: Tensor, weight: Tensor) -> None:
    """Give each row i a factor a_i and a new bias: wanted_i = a_i (w_i x) + c_i, a regression with one variable."""
    given = x @ linear.weight.T  # (tokens, hidden), without the bias
    wanted = given + missing
    share = weight / weight.sum()
    mean = (share * given).sum(dim=0) if linear.bias is not None else torch.zeros_like(given[0])
    goal = (share * wanted).sum(dim=0) if linear.bias is not None else torch.zeros_like(given[0])
    variance = (share * (given - mean).square()).sum(dim=0)
    shared = (share * (given - mean) * (wanted - goal)).sum(dim=0)
    pull = RIDGE * variance.mean().clamp_min(1e-20)  # towards a factor of one
    factor = ((shared + pull) / (variance + pull)).clamp(0.1, 10.0)
    linear.weight.mul_(factor[:, None])
    if linear.bias is not None:
        linear.bias.add_(goal - factor * mean)


def _walk(view: EncoderView, batches: Sequence[Mapping[str, Tensor]], visit: Visit) -> None:
    """Run a model once; `visit` sees the end of each sub-layer in order, and gives what leaves it instead."""
    walk = _Walk(view, Together(len(batches), visit))
    try:
        walk.together.run([partial(walk.one, inputs) for inputs in batches])
    finally:
        for handle in walk.handles:
            handle.remove()


class _Walk:
    """Hooks at the ends of all sub-layers, where the batches meet; each batch is a pass in a thread of its own."""

    def __init__(self, view: EncoderView, together: Together[Site, Tensor]) -> None:
        self.view, self.together = view, together
        self.here = threading.local()
        self.handles: list[RemovableHandle] = []
        for layer, module in enumerate(view.layers):
            self._tap((layer, "head"), module)
            if not view.family.pre_norm:  # a normalised sum is what the FFN reads and is added to
                self._tap((layer, "neuron"), view.ffn_input(layer))
            for kind in ("head", "neuron"):
                self._watch((layer, kind), view.output(layer, kind))

    @torch.no_grad()  # here, since a thread does not inherit it
    def one(self, inputs: Mapping[str, Tensor]) -> None:
        """Run one batch."""
        self.here.residuals, self.here.real = {}, inputs["attention_mask"].bool()
        self.view.model(**inputs)

    def _tap(self, key: Key, module: nn.Module) -> None:
        def keep_residual(_: nn.Module, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]) -> None:
            self.here.residuals[key] = args[0] if args else kwargs["hidden_states"]

        self.handles.append(module.register_forward_pre_hook(keep_residual, with_kwargs=True))

    def _watch(self, key: Key, module: nn.Module) -> None:
        def leave(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            here = self.here
            found = self.together.meet(Site(key, module, args[0], output, here.residuals[key], here.real))
            if self.view.family.pre_norm and key[1] == "head":
                here.residuals[key[0], "neuron"] = here.residuals[key] + found
            return found

        self.handles.append(module.register_forward_hook(leave))
