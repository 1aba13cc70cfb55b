"""How many layers a budget leaves: the same constraints as everywhere, counted in whole layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leanformer.errors import BudgetError
from leanformer.search.space import fewest_units
from leanformer.structure.cost import size_mb

if TYPE_CHECKING:
    from leanformer.budget import Budget
    from leanformer.encoders.view import EncoderView
    from leanformer.search.pricing import Price


def layers_to_drop(view: EncoderView, budget: Budget, price: Price | None = None) -> int:
    """Return the fewest layers whose removal meets a budget.

    Layers of one model are taken for equally large; a pruning ratio or a share of the multiply-accumulates is one of
    the layers, then.

    Args:
        view: The dense encoder.
        budget: The constraints; half of the layers where there are none.
        price: What time costs; needed where the budget asks for time.

    Returns:
        At least 1, and one less than there are at most.

    Raises:
        BudgetError: If one layer is still too much, or the dense model meets the budget.
        ValueError: If time is limited and has no price.
    """
    asked, count = budget.or_half(), view.n_layers
    if asked.asks_for_time and price is None:
        raise ValueError("a budget of time needs the price of the sub-layers")
    fitting = [dropped for dropped in range(count) if _fits(view, asked, price, dropped)]
    if not fitting:
        raise BudgetError(
            f"one of the {count} layers alone is more than {budget.words()}: allow more, or choose a method that "
            "removes heads and neurons"
        )
    if fitting[0] == 0:
        raise BudgetError(
            f"the dense model meets the budget, {budget.words()}, as it is: use it, or give a smaller budget"
        )
    return fitting[0]


def _fits(view: EncoderView, budget: Budget, price: Price | None, dropped: int) -> bool:
    """Whether a model without so many layers keeps all constraints."""
    left, count = view.n_layers - dropped, view.n_layers
    if budget.pruning_ratio is not None and dropped < fewest_units(budget.pruning_ratio, count):
        return False
    if budget.macs_share is not None and left / count > budget.macs_share:
        return False
    if budget.size_mb is not None:
        a_layer = view.encoder_parameters() / count * size_mb(view.model) / _parameters(view)
        if size_mb(view.model) - dropped * a_layer > budget.size_mb:
            return False
    shapes = [(view.heads(layer), view.width(layer)) for layer in range(left)]
    return not budget.asks_for_time or price is None or price.costs.predict_ms(shapes) <= price.deadline_ms


def _parameters(view: EncoderView) -> int:
    return sum(parameter.numel() for parameter in view.model.parameters())
