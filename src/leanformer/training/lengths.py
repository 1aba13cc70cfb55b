"""Training for many lengths at once: LengthDrop and the sandwich rule (Kim & Cho 2021, arXiv 2010.07003)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sandwich:
    """Which lengths a step trains: all tokens, as few as there will ever be, and some in between.

    Attributes:
        least: What is left after each layer in the smallest model, a share of the text's length each.
        random: How many random ones a step draws.
        seed: Of the draws; the same step draws the same, also after a kill.
    """

    least: tuple[float, ...]
    random: int = 2
    seed: int = 0

    @property
    def parts(self) -> int:
        """How many models a step trains."""
        return 2 + self.random

    def smaller(self, step: int) -> Iterator[tuple[float, ...]]:
        """Yield the shares of a step's smaller models: the random ones, then the smallest.

        Args:
            step: Number of the step.

        Yields:
            What is left after each layer: each keeps a share of what the one before has, drawn between what it
            keeps in the smallest model and all of it.
        """
        generator = np.random.default_rng((self.seed, step))
        falls = np.divide(self.least, (1.0, *self.least[:-1]))
        for _ in range(self.random):
            yield tuple(np.cumprod(generator.uniform(falls, 1.0)).tolist())
        yield self.least
