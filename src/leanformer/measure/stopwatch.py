"""Timing models that are still in memory on the target, side by side with the dense one in PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.encoders.saving import save_model
from leanformer.export.runtimes import Runner, load_runner
from leanformer.export.variants import ensure_artefact
from leanformer.measure.bench import BASELINE
from leanformer.measure.clock import interleave
from leanformer.measure.samples import sample_batches
from leanformer.measure.statistics import bootstrap_ratio_interval, median_interval

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.budget import Target

DENSE = "dense"
ROUNDS = 20
LIMIT_S = 30.0


@dataclass(frozen=True)
class Timing:
    """What one model takes on the target.

    Attributes:
        latency_ms: Median over rounds of one batch.
        ratio: The dense model's time in PyTorch float32, divided by this one.
        ratio_low: Lower end of its 95% interval.
        ratio_high: Upper end.
    """

    latency_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True)
class Stopwatch:
    """Times models on one target.

    Attributes:
        dense: The dense model.
        tokenizer: Of all models.
        texts: Encoded texts to time on; never those that are reported.
        calibration: Encoded training texts for int8.
        target: Runtime, precision and batch size.
        threads: Of every runtime.
        seed: Of the intervals.
    """

    dense: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    texts: Dataset
    calibration: Dataset
    target: Target
    threads: int
    seed: int = 0

    def __call__(self, models: Mapping[str, PreTrainedModel]) -> dict[str, Timing]:
        """Time models side by side.

        Args:
            models: The models by name; "dense" is the dense model's own name.

        Returns:
            Timings by name.
        """
        samples = sample_batches(self.texts, self.tokenizer, min(self.target.batch, len(self.texts)))
        with tempfile.TemporaryDirectory(prefix="leanformer-stopwatch-") as scratch:
            runners: dict[str, Runner] = {DENSE: load_runner(self.dense, *BASELINE, self.threads)}
            for number, (name, model) in enumerate(models.items()):
                runners[name] = self._runner(model, Path(scratch) / str(number))
            times = interleave(runners, samples, ROUNDS, LIMIT_S)
        return {
            name: Timing(
                median_interval(times[name], self.seed)[0],
                *bootstrap_ratio_interval(times[DENSE], times[name], self.seed),
            )
            for name in models
        }

    def _runner(self, model: PreTrainedModel, folder: Path) -> Runner:
        runtime, precision = self.target.variant
        if runtime == "torch":
            return load_runner(model, runtime, precision, self.threads)
        save_model(model, self.tokenizer, folder / "model")
        file = ensure_artefact(
            folder / "model", folder, runtime, precision, self.tokenizer, self.texts, self.calibration
        )
        return load_runner(file, runtime, precision, self.threads)
