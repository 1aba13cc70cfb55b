"""What the user is willing to pay, and where the model is going to be served."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from leanformer.errors import BudgetError
from leanformer.report.numbers import points_words

HALF = 0.5
"""The pruning ratio of a method that was given no budget."""

FLIPS, BIAS = "max_flips_percent", "max_bias_increase"
"""The limits on what may change: fields of a budget that are measured on held-out rows."""

SPARSE = ("weight", "block", "hybrid")
"""Granularities that leave zeros among the weights."""


@dataclass(frozen=True)
class Budget:
    """The overall constraints of a compression; several hold at once.

    Attributes:
        pruning_ratio: Share of the encoder's weights to remove, in (0, 1); embeddings are not counted.
        speedup: How many times faster than the dense model in PyTorch float32 at the target's batch size, above 1.
        latency_ms: Most milliseconds of one batch on the target.
        size_mb: Most megabytes (10^6 bytes) of the model's float32 weights; for auto, of the file that it
            serves.
        max_drop_points: Most points of score that may be lost on held-out rows; the report judges it on its own.
        macs_share: Most multiply-accumulates of the encoder's layers, as a share of the dense model's, in (0, 1).
            They are what papers count, and no measure of time.
        max_flips_percent: Most percent of the held-out answers that may be others than the dense model's.
        max_bias_increase: Most by which the mean change of an answer when genders are swapped may grow, on held-out
            texts: of P of the last class, or of the task's own values.

    Raises:
        BudgetError: If one of them can not be a constraint.
    """

    pruning_ratio: float | None = None
    speedup: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    max_drop_points: float | None = None
    macs_share: float | None = None
    max_flips_percent: float | None = None
    max_bias_increase: float | None = None

    def __post_init__(self) -> None:
        """Refuse what can not be a constraint."""
        if self.pruning_ratio is not None and not 0.0 < self.pruning_ratio < 1.0:
            raise BudgetError(
                f"the pruning ratio {self.pruning_ratio:g} lies outside (0, 1): give the share of the encoder's "
                "weights to remove, for example --pruning-ratio 0.5"
            )
        if self.macs_share is not None and not 0.0 < self.macs_share < 1.0:
            raise BudgetError(
                f"the share {self.macs_share:g} of the multiply-accumulates lies outside (0, 1): give what may "
                "stay, for example --macs-share 0.5"
            )
        if self.speedup is not None and not 1.0 < self.speedup < math.inf:
            raise BudgetError(
                f"a speed-up of {self.speedup:g} is none: give how many times faster, for example --speedup 2"
            )
        for name in ("latency_ms", "size_mb"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise BudgetError(
                    f"--{name.replace('_', '-')} {value:g} is no budget: give a number above zero"
                )
        if self.max_drop_points is not None and not 0.0 <= self.max_drop_points <= 100.0:
            raise BudgetError(
                f"--max-drop {self.max_drop_points:g} lies outside 0 to 100: give points of score, for example 1.0"
            )
        if self.max_flips_percent is not None and not 0.0 <= self.max_flips_percent <= 100.0:
            raise BudgetError(
                f"--max-flips {self.max_flips_percent:g} lies outside 0 to 100: give percent of the answers"
            )
        if self.max_bias_increase is not None and not 0.0 <= self.max_bias_increase < math.inf:
            raise BudgetError(
                f"--max-bias-increase {self.max_bias_increase:g} is no limit: give by how much the swap gap may "
                "grow, for example 0.01"
            )

    @property
    def is_open(self) -> bool:
        """Whether neither size, nor time, nor work is limited."""
        sized = (self.pruning_ratio, self.speedup, self.latency_ms, self.size_mb, self.macs_share)
        return all(value is None for value in sized)

    @property
    def asks_for_time(self) -> bool:
        """Whether milliseconds are limited."""
        return self.speedup is not None or self.latency_ms is not None

    @property
    def is_silent(self) -> bool:
        """Whether nothing says how far to go: limits on what may change do not."""
        return self.is_open and self.max_drop_points is None

    def or_half(self) -> Budget:
        """Return the budget, or one that takes half of the encoder where nothing is limited."""
        return replace(self, pruning_ratio=HALF) if self.is_open else self

    def words(self) -> str:
        """Return the constraints for people, for example "pruning ratio 0.5 and at most 20 MB"."""
        forms = {
            "pruning_ratio": "pruning ratio {:g}",
            "speedup": "{:g} times faster",
            "latency_ms": "at most {:g} ms a batch",
            "size_mb": "at most {:g} MB",
            "max_drop_points": f"at most {points_words(self.max_drop_points or 0.0)} lost",
            "macs_share": "at most {:g} of the multiply-accumulates",
            "max_flips_percent": "at most {:g}% of the answers changed",
            "max_bias_increase": "a swap gap at most {:g} larger",
        }
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        found = [forms[name].format(value) for name, value in given if value is not None]
        return " and ".join(found) or "no budget"


@dataclass(frozen=True)
class Target:
    """Where the compressed model is served: what a time budget is about.

    Attributes:
        runtime: "torch", "onnxruntime" or "openvino"; None where the method may choose.
        precision: "fp32", "bf16" or "int8"; None where the method may choose.
        batch: Texts a batch.

    Raises:
        BudgetError: If the batch is empty.
    """

    runtime: str | None = None
    precision: str | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        """Refuse an empty batch."""
        if self.batch < 1:
            raise BudgetError(f"--target-batch {self.batch} can not be timed: give 1 or more")

    @property
    def variant(self) -> tuple[str, str]:
        """Runtime and precision; PyTorch and float32 where nothing is chosen."""
        return self.runtime or "torch", self.precision or "fp32"

    def or_torch(self) -> Target:
        """Return the target with PyTorch and float32 where nothing is chosen."""
        runtime, precision = self.variant
        return replace(self, runtime=runtime, precision=precision)

    def words(self) -> str:
        """Return the target for people, for example "onnxruntime int8, batch 8"."""
        return f"{self.runtime or 'any runtime'} {self.precision or ''}".rstrip() + f", batch {self.batch}"
