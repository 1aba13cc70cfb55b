"""Sequential repair: sub-layer by sub-layer, what remains also makes good what went wrong before it.

K-prune (Park et al., ICLR 2024, arXiv 2308.03449) re-fits each sub-layer of the pruned model, in order, on the pruned
model's own inputs, so that the residual stream comes back to the dense model's: errors do not add up over the layers.
The one-pass repair of `repair.py` fits on the dense inputs, one sub-layer as if all others were whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from leanformer.encoders.view import EncoderView
from leanformer.structure.activations import Moments

Key = tuple[int, str]

RIDGE = 1e-2
"""Pull towards the weights found so far, as a share of the mean squared input."""


@dataclass(frozen=True)
class Site:
    """What meets at the end of a sub-layer.

    Attributes:
        key: Layer and kind of the sub-layer.
        module: Its output linear, or what holds the bias where no unit is left.
        entering: The module's input, (batch, tokens, d).
        leaving: The module's output, (batch, tokens, hidden).
        residual: What the output is added to, (batch, tokens, hidden).
    """

    key: Key
    module: nn.Module
    entering: Tensor
    leaving: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Stream:
    """The dense model's residual stream on one calibration batch.

    Attributes:
        inputs: The padded batch, without labels.
        sums: (layer, kind) -> (real tokens, hidden), the stream after the sub-layer's output is added.
        weights: (layer, kind) -> (real tokens,), what the answer hears of each token there.
    """

    inputs: dict[str, Tensor]
    sums: dict[Key, Tensor]
    weights: dict[Key, Tensor]

    @property
    def real(self) -> Tensor:
        """Which tokens are no padding, (batch, tokens) of bool."""
        return self.inputs["attention_mask"].bool()


def dense_stream(model: Any, batch: Mapping[str, Tensor], moments: Moments) -> Stream:
    """Record the dense model's residual stream.

    Args:
        model: The dense model.
        batch: One padded batch with the rows that the moments were gathered from, in the same order.
        moments: From `second_moments`; their token weights are used again.

    Returns:
        The stream.
    """
    inputs = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
    stream = Stream(inputs, {}, {key: moment.weights for key, moment in moments.items()})

    def record(site: Site) -> Tensor:
        stream.sums[site.key] = (site.residual + site.leaving)[stream.real].float()
        return site.leaving

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
    real = stream.real

    def refit(site: Site) -> Tensor:
        missing = stream.sums[site.key] - (site.residual + site.leaving)[real]  # (real tokens, hidden)
        weight = stream.weights[site.key][:, None]
        module: Any = site.module
        if not isinstance(module, nn.Linear):
            if module.bias is not None:
                module.bias += (weight * missing).sum(dim=0) / weight.sum()
            return module.forward(site.entering)  # a call would come here again
        fit = _rescale if sparse else _solve
        fit(module, site.entering[real], missing, weight)
        return functional.linear(site.entering, module.weight, module.bias)

    _walk(small, stream.inputs, refit)


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


@torch.no_grad()
def _walk(view: EncoderView, inputs: Mapping[str, Tensor], visit: Callable[[Site], Tensor]) -> None:
    """Run a model once; `visit` sees the end of each sub-layer in order, and gives what leaves it instead."""
    residuals: dict[Key, Tensor] = {}
    handles = []

    def tap(key: Key, module: nn.Module) -> None:
        def keep_residual(_: nn.Module, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]) -> None:
            residuals[key] = args[0] if args else kwargs["hidden_states"]

        handles.append(module.register_forward_pre_hook(keep_residual, with_kwargs=True))

    def watch(key: Key, module: nn.Module) -> None:
        def leave(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            found = visit(Site(key, module, args[0], output, residuals[key]))
            if view.family.pre_norm and key[1] == "head":
                residuals[key[0], "neuron"] = residuals[key] + found
            return found

        handles.append(module.register_forward_hook(leave))

    for layer, module in enumerate(view.layers):
        tap((layer, "head"), module)
        if not view.family.pre_norm:  # a normalised sum is what the FFN reads and is added to
            tap((layer, "neuron"), view.ffn_input(layer))
        for kind in ("head", "neuron"):
            watch((layer, kind), view.output(layer, kind))
    try:
        view.model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
