"""Who takes part in a bench: every variant loaded, checked, scored on all rows, and its first call timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leanformer.encoders.forms import PLAIN
from leanformer.errors import ModelError
from leanformer.export.layout import BYTES_PER_MB, artefact_mb
from leanformer.export.runtimes import Runner, load_runner, predict_with
from leanformer.export.variants import ensure_artefact
from leanformer.measure.clock import call_ms
from leanformer.tasks.judged import labels_of
from leanformer.tasks.metrics import score
from leanformer.tasks.words import asked

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.tasks.task import Task

OTHER_MODEL = 1e-2  # float32 runtimes agree on a model's logits much better than this


@dataclass(frozen=True)
class Entrant:
    """One variant that takes part: a runner with what was measured of it apart from time.

    Attributes:
        model: The model's name.
        runner: The loaded variant.
        source: What it was loaded from: a model folder (or hub id) or an exported file.
        logits: Its answers on all rows, (rows, num_labels), or (rows, words, num_labels).
        score: The task's metric on all rows.
        size_mb: Weights on disk, in megabytes of 10^6 bytes.
        first_call_ms: The very first call.
        form: Which of `leanformer.encoders.forms.FORMS`.
    """

    model: str
    runner: Runner
    source: str | Path
    logits: np.ndarray
    score: float
    size_mb: float
    first_call_ms: float
    form: str = PLAIN

    @property
    def name(self) -> str:
        """A name that is unique in one bench."""
        return f"{self.model} {self.runner.name} {self.runner.precision} {self.form}".rstrip()


class Field:
    """Loads, checks and scores the variants of one bench.

    Args:
        models: Hugging Face folders (or hub ids) by name.
        homes: By name, the folder that holds, or will hold, the model's exports.
        encoded: The rows to score on, encoded and labelled.
        tokenizer: The tokenizer of all models.
        task: The task, which names the metric.
        threads: Threads of every runtime.
        calibration: Encoded training texts; needed where int8 for OpenVINO has to be made.
        first_batch: What the first call is made with.
    """

    def __init__(
        self,
        models: Mapping[str, str | Path],
        homes: Mapping[str, Path],
        encoded: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        threads: int,
        calibration: Dataset | None,
        first_batch: Mapping[str, np.ndarray],
    ) -> None:
        self.models, self.homes = models, homes
        self.encoded, self.tokenizer, self.task = encoded, tokenizer, task
        self.threads, self.calibration, self.first_batch = threads, calibration, first_batch
        self.labels = labels_of(encoded)
        self.torch_logits: dict[str, np.ndarray] = {}  # by model

    def enter(self, model: str, runtime: str, precision: str, form: str = PLAIN) -> Entrant:
        """Load one variant, exporting it where it is missing, time its first call, and score it on all rows.

        Args:
            model: The model's name.
            runtime: "torch", "onnxruntime" or "openvino".
            precision: One that the runtime has.
            form: Which of `leanformer.encoders.forms.FORMS`.

        Returns:
            The variant, ready to be timed.

        Raises:
            ModelError: If it can not be loaded, or an exported file belongs to another model.
        """
        source: str | Path = self.models[model]
        if runtime != "torch":
            source = ensure_artefact(
                self.models[model],
                self.homes[model],
                runtime,
                precision,
                self.tokenizer,
                self.encoded,
                self.calibration,
                form,
            )
        runner = load_runner(source, runtime, precision, self.threads, form)
        first_call_ms = call_ms(runner, self.first_batch)
        logits = predict_with(runner, self.encoded, self.tokenizer)
        if precision.startswith("fp32"):
            self._check_same_model(model, source, logits)
        size = artefact_mb(Path(source)) if runtime != "torch" else torch_mb(runner)
        return Entrant(
            model,
            runner,
            source,
            logits,
            score(self.task.metric, logits, self.labels),
            size,
            first_call_ms,
            form,
        )

    def _check_same_model(self, model: str, source: str | Path, logits: np.ndarray) -> None:
        """Refuse an exported file that was left there by another model."""
        known = self.torch_logits.setdefault(model, logits)
        answers = asked(known) if known.ndim == 3 else slice(None)
        largest = max(1.0, float(np.abs(known[answers]).max()))
        same_shape = known.shape == logits.shape
        difference = float(np.abs(known - logits)[answers].max()) if same_shape else float("inf")
        if not difference <= OTHER_MODEL * largest:
            raise ModelError(
                f"{source} answers differently from {self.models[model]} (by {difference:.2g} in a logit): it is of "
                "another model; delete it, and it is made anew"
            )


def torch_mb(runner: Runner) -> float:
    """Return the size of a PyTorch runner's weights as safetensors stores them, shared ones once.

    Args:
        runner: A runner of a PyTorch model.

    Returns:
        Megabytes of 10^6 bytes; two bytes a weight in bfloat16.
    """
    parameters = runner.model.parameters()  # type: ignore[attr-defined]
    return sum(tensor.numel() * tensor.element_size() for tensor in parameters) / BYTES_PER_MB
