"""What the user is willing to pay: the budget of a compression."""

from __future__ import annotations

from dataclasses import dataclass

from leanformer.errors import BudgetError


@dataclass(frozen=True)
class Budget:
    """The overall constraint of a compression.

    Attributes:
        pruning_ratio: Share of the encoder's weights to remove, in (0, 1); embeddings are not counted.

    Raises:
        BudgetError: If the ratio lies outside (0, 1).
    """

    pruning_ratio: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what can not be a ratio."""
        if not 0.0 < self.pruning_ratio < 1.0:
            raise BudgetError(
                f"the pruning ratio {self.pruning_ratio:g} lies outside (0, 1): give the share of the encoder's "
                "weights to remove, for example --pruning-ratio 0.5"
            )
