"""From a budget to a space: weights, megabytes, multiply-accumulates and milliseconds limit the same units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from leanformer.budget import HALF, SPARSE, Budget
from leanformer.errors import BudgetError
from leanformer.measure.latency.costs import SublayerCosts
from leanformer.search.costs import Limit
from leanformer.search.falling import timed_token_space, token_space
from leanformer.search.realise import unit_groups, weight_groups
from leanformer.search.space import TIME_TOLERANCE, TOLERANCE, Group, Space
from leanformer.search.timed import timed_groups
from leanformer.structure.cost import BYTES_PER_MB, head_macs, neuron_macs
from leanformer.structure.cost import size_mb as _megabytes
from leanformer.structure.masks import TOKEN, UNITS

if TYPE_CHECKING:
    from leanformer.encoders.view import EncoderView

BYTES_A_WEIGHT = 4
LEAST_LEFT = 0.02
"""Share of the prunable time that a budget in milliseconds leaves at least: an encoder without units is none."""


@dataclass(frozen=True)
class Price:
    """What time costs while searching.

    Attributes:
        costs: Milliseconds of the sub-layers on the target, from the latency table.
        deadline_ms: What the whole model may take.
        shorter: The same costs for shorter texts, where tokens are going to leave.
        choosing_ms: What choosing the tokens that leave takes, a place: the table does not know it, a clock does.
    """

    costs: SublayerCosts
    deadline_ms: float
    shorter: tuple[SublayerCosts, ...] = ()
    choosing_ms: float = 0.0

    def scaled(self, factor: float) -> Price:
        """Return the price of a deadline so many times as long."""
        return replace(self, deadline_ms=self.deadline_ms * factor)


def budgeted_space(
    view: EncoderView,
    budget: Budget,
    granularity: str,
    price: Price | None = None,
    tokens: float | None = None,
) -> Space:
    """Return the space of a granularity under all constraints of a budget.

    Args:
        view: The dense encoder.
        budget: The constraints; half of the encoder where there are none.
        granularity: "unit"; "head" or "neuron" for one kind of them; "token"; "weight", or what else leaves zeros.
        price: What time costs; needed where the budget asks for time.
        tokens: Mean length of a text; needed where the budget limits multiply-accumulates.

    Returns:
        A space in milliseconds where time is limited, else in weights, else in multiply-accumulates; further
        constraints stand beside it.

    Raises:
        BudgetError: If the budget can not be reached; the sentence names the nearest that can.
        ValueError: If time is limited and has no price, or multiply-accumulates and the texts have no length.
    """
    if granularity in SPARSE:
        if budget.asks_for_time or budget.size_mb is not None or budget.macs_share is not None:
            raise BudgetError(
                "zeros among the weights make no file smaller, save no work and no time here: give a pruning ratio, "
                "or --granularity unit"
            )
        return Space(weight_groups(view), budget.pruning_ratio or HALF, least=1)
    if granularity == TOKEN:
        return _token_space(view, budget, price)
    if granularity in UNITS:
        return _space_of_kind(view, budget, granularity)
    groups, ratio = unit_groups(view), _ratio_of_weights(view, budget.or_half())
    scales = [] if ratio is None else [("weights", groups, ratio)]
    if budget.macs_share is not None:
        if tokens is None:
            raise ValueError("a budget of multiply-accumulates needs the length of the texts")
        costs = head_macs(view, tokens), neuron_macs(view, tokens)
        removed = min(1.0, 1.0 - budget.macs_share + _tolerance(budget))  # an upper bound: aim below it
        scales.append(("multiply-accumulates", unit_groups(view, costs), removed))
    if not budget.asks_for_time:
        (_, leading, removed), *others = scales
        return Space(leading, removed, limits=tuple(_limit(*other) for other in others))
    if price is None:
        raise ValueError("a budget of time needs the price of the sub-layers")
    return _timed_space(view, groups, price, tuple(_limit(*scale) for scale in scales))


def _token_space(view: EncoderView, budget: Budget, price: Price | None) -> Space:
    """Return the space of kept tokens, under a share of the work or under a deadline."""
    if (
        budget.size_mb is not None
        or budget.macs_share is not None
        or None not in (budget.pruning_ratio, price)
    ):
        raise BudgetError(
            "where only tokens leave, the budget is the share of the work that they save, or time: give either "
            "--pruning-ratio or --speedup"
        )
    if budget.asks_for_time:
        if price is None:
            raise ValueError("a budget of time needs the price of the sub-layers")
        return timed_token_space(view, (price.costs, *price.shorter), price.deadline_ms)
    return token_space(view, budget.pruning_ratio or HALF)


def _space_of_kind(view: EncoderView, budget: Budget, kind: str) -> Space:
    """Return the space of heads alone, or of neurons alone, under a share of them."""
    if budget.asks_for_time or budget.size_mb is not None or budget.macs_share is not None:
        raise BudgetError(
            f"where only {kind}s are removed, the budget is a share of the {kind}s: give --pruning-ratio, or a "
            "method that removes heads and neurons"
        )
    groups = tuple(group for group in unit_groups(view) if group.kind == kind)
    tolerance = 0.5 / sum(group.units for group in groups) if kind == "head" else TOLERANCE
    return Space(groups, budget.pruning_ratio or HALF, tolerance=tolerance)


def check_size(view: EncoderView, size_mb: float, quantised: bool = False) -> None:
    """Refuse a size that pruning can not reach.

    Args:
        view: The dense encoder.
        size_mb: The most that the model may have.
        quantised: Whether a byte a weight will do.

    Raises:
        BudgetError: If what can not be pruned is larger.
    """
    prunable = view.prunable_weights() * BYTES_A_WEIGHT / BYTES_PER_MB
    rest = _megabytes(view.model) - prunable
    least = (rest + LEAST_LEFT * prunable) / (BYTES_A_WEIGHT if quantised else 1)
    if size_mb < least:
        raise BudgetError(
            f"{size_mb:g} MB can not be reached: embeddings and what else is not pruned take "
            f"{least:.3g} MB{' in int8' if quantised else ''}; the nearest is --size-mb {least + 0.05:.1f}"
        )


def _timed_space(
    view: EncoderView, groups: tuple[Group, ...], price: Price, limits: tuple[Limit, ...]
) -> Space:
    """Put the groups on a scale of milliseconds."""
    timed = timed_groups(groups, price.costs)
    whole, rest = sum(group.costs[-1] for group in timed), price.costs.rest_ms(view.n_layers)
    left = price.deadline_ms - rest
    if left < LEAST_LEFT * whole:
        raise BudgetError(
            f"{price.deadline_ms:.3g} ms can not be reached by pruning on this machine: without any head or neuron "
            f"this model takes {rest:.3g} ms in {price.costs.setting.runtime} {price.costs.setting.precision}; the "
            f"nearest is {rest + LEAST_LEFT * whole:.3g} ms: give that much, or another target"
        )
    if left >= whole:
        if limits:
            return Space(timed, 0.0, limits=limits, tolerance=TIME_TOLERANCE)
        raise BudgetError(
            f"the dense model takes {rest + whole:.3g} ms on the target and meets the budget of "
            f"{price.deadline_ms:.3g} ms as it is: use it, or give a smaller budget"
        )
    return Space(timed, 1.0 - left / whole, limits=limits, tolerance=TIME_TOLERANCE)


def _limit(name: str, groups: tuple[Group, ...], ratio: float) -> Limit:
    tables = tuple(tuple(group.costs.tolist()) for group in groups)
    return Limit(name, tables, (1.0 - ratio) * sum(table[-1] for table in tables))


def _ratio_of_weights(view: EncoderView, budget: Budget) -> float | None:
    """Return the pruning ratio that ratio and megabytes ask for together; None where neither is limited.

    A candidate may miss its constraint by the space's tolerance, to either side. Megabytes are an upper bound, so the
    search aims below it by as much; of a ratio only what goes beyond the ratio's own tolerance is made up for.
    """
    tolerance = _tolerance(budget)
    asked = [] if budget.pruning_ratio is None else [min(1.0, budget.pruning_ratio + (tolerance - TOLERANCE))]
    if budget.size_mb is not None:
        check_size(view, budget.size_mb)
        dense_mb, weights = _megabytes(view.model), view.prunable_weights()
        prunable_mb = weights * BYTES_A_WEIGHT / BYTES_PER_MB
        needed = (dense_mb - budget.size_mb) / prunable_mb
        if needed > 0.0:
            asked.append(min(1.0, needed + tolerance))
        elif budget.pruning_ratio is None and not budget.asks_for_time and budget.macs_share is None:
            raise BudgetError(
                f"the dense model has {dense_mb:.3g} MB and meets --size-mb {budget.size_mb:g} as it is: use it, "
                "or give a smaller budget"
            )
    return max(asked, default=None)


def _tolerance(budget: Budget) -> float:
    """Return how far a space under a budget may miss its constraint, as a share of its total."""
    return TIME_TOLERANCE if budget.asks_for_time else TOLERANCE
