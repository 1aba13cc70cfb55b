"""Closed-form repair: what remains is re-fitted by least squares, without training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leanformer.encoders.view import EncoderView
from leanformer.structure.activations import Moment, Moments, sites
from leanformer.structure.importance import damped
from leanformer.structure.masks import DIMENSIONS, Masks

Fit = tuple[Tensor, Tensor]
"""A re-fitted weight (hidden, kept columns) and bias (hidden,)."""

REMEMBERED_MB = 512


class Fits:
    """Fits that were solved already: candidates share most of their groups, and a fit depends on its group alone.

    Args:
        limit_mb: Memory that the fits may take; what comes later is solved afresh each time.
    """

    def __init__(self, limit_mb: float = REMEMBERED_MB) -> None:
        self._known: dict[tuple[int, str, bytes], Fit] = {}
        self._left = limit_mb * 1e6

    def fit(self, key: tuple[int, str], mask: Tensor, linear: nn.Linear, moment: Moment) -> Fit:
        """Return the re-fitted weight and bias of a sub-layer under a mask.

        Args:
            key: Layer and kind of the sub-layer.
            mask: (units,) of 0 and 1.
            linear: The dense output projection.
            moment: Second moment of its input.

        Returns:
            Weight (hidden, kept columns) and bias (hidden,), on the moment's device; not to be changed.
        """
        name = (*key, mask.bool().cpu().numpy().tobytes())
        if name not in self._known:
            columns = mask.bool().repeat_interleave(moment.dimensions // len(mask)).nonzero().squeeze(1)
            fit = _refit(linear, moment, columns.to(moment.second.device))
            size = sum(part.numel() * part.element_size() for part in fit)
            if size > self._left:
                return fit
            self._left -= size
            self._known[name] = fit
        return self._known[name]


@torch.no_grad()
def repair_units(
    dense: EncoderView, small: EncoderView, masks: Masks, moments: Moments, fits: Fits | None = None
) -> None:
    """Re-fit the output projections of a sliced encoder so that each sub-layer answers as the dense one did.

    min over W', b' of sum_t w_t || W x_t + b - W' x_t,S - b' ||^2, per sub-layer, on the DENSE model's inputs:
    W' = W M_:S M_SS^-1 with M the weighted second moment of [x; 1]. K-prune (Park et al. 2024, arXiv 2308.03449)
    solves the same problem on the pruned model's inputs, layer after layer; taking the dense inputs makes one pass
    over the data serve all candidates.

    Args:
        dense: The dense encoder.
        small: Its sliced copy, changed in place.
        masks: The 0/1 masks of heads and neurons that made the copy.
        moments: From `second_moments` on the dense model.
        fits: Fits of the same dense encoder and moments that are known already; new ones are added.

    Raises:
        ValueError: A mask is one of heads' dimensions.
    """
    if any(kind in DIMENSIONS for _, kind in masks):
        raise ValueError("Only what is left of heads and neurons can be repaired, not of heads' dimensions.")
    fits = Fits(0) if fits is None else fits
    target, source = sites(small), sites(dense)
    for (layer, kind), linear in source.items():
        if (layer, kind) not in masks:
            continue
        weight, bias = fits.fit((layer, kind), masks[layer, kind], linear, moments[layer, kind])
        if (layer, kind) in target:
            target[layer, kind].weight.copy_(weight)
        parameter = small.output_bias(layer, kind)  # there also where nothing but the bias is left
        if parameter is not None:
            parameter.copy_(bias)


@torch.no_grad()
def repair_weights(dense: EncoderView, small: EncoderView, moments: Moments) -> None:
    """Re-scale the rows of sparse output projections so that they answer as the dense ones did.

    Row i keeps its zeros and gets a factor a_i and a new bias: min sum_t w_t (w_i x_t - a_i w'_i x_t - c_i)^2,
    a regression with one variable: a_i = w_i C w'_i^T / w'_i C w'_i^T, with C the weighted covariance. Without a
    bias c_i is zero, and C the weighted second moment itself.

    Args:
        dense: The dense encoder.
        small: A copy whose matrices are sparse, changed in place.
        moments: From `second_moments` on the dense model.
    """
    target = sites(small)
    for key, linear in sites(dense).items():
        second = moments[key].second
        mean = second[:-1, -1] / second[-1, -1]
        covariance = second[:-1, :-1]
        if linear.bias is not None:
            covariance = covariance - second[-1, -1] * torch.outer(mean, mean)
        sparse = target[key].weight
        explained = ((sparse @ covariance) * sparse).sum(dim=1)
        shared = ((linear.weight @ covariance) * sparse).sum(dim=1)
        factor = torch.where(explained > 1e-12, shared / explained.clamp_min(1e-12), torch.ones_like(shared))
        sparse.mul_(factor.clamp(0.1, 10.0)[:, None])  # Kwon et al. 2022 give up on factors beyond 10
        if target[key].bias is not None:
            target[key].bias.copy_(linear.bias + (linear.weight - sparse) @ mean)


def _refit(linear: nn.Linear, moment: Moment, columns: Tensor) -> Fit:
    """Return the re-fitted weight (hidden, |S|) and bias (hidden,) on the kept input columns."""
    second = moment.second.double()
    with_constant = torch.cat([columns, columns.new_tensor([moment.dimensions])])
    if linear.bias is None:
        with_constant = columns
    if not len(with_constant):
        return linear.weight[:, :0], linear.weight.new_zeros(len(linear.weight))
    # Ridge towards the old weights, not towards zero: what the data does not tell stays as it was.
    old = torch.cat(
        [linear.weight.detach().double(), linear.weight.new_zeros(len(linear.weight), 1).double()], dim=1
    )
    kept = second[with_constant][:, with_constant]
    lost = torch.ones(len(second), dtype=torch.bool, device=second.device)
    lost[with_constant] = False
    rest = lost.nonzero().squeeze(1)
    change = torch.linalg.solve(
        damped(kept), second[with_constant][:, rest] @ old[:, rest].T
    )  # (|S| + 1, hidden)
    fitted = old[:, with_constant] + change.T
    if linear.bias is None:
        return fitted.float(), linear.weight.new_zeros(len(linear.weight))
    return fitted[:, :-1].float(), (linear.bias.detach().double() + fitted[:, -1]).float()
