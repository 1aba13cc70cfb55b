"""What a masked model answers on held-out rows: score and losses, each set of masks asked once."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from leanformer.structure.hard_attention import hardened
from leanformer.structure.masks import Masks, applied
from leanformer.tasks.judged import labels_of, loss_labels
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict
from leanformer.training.objective import row_losses

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.tasks.task import Task


@dataclass(frozen=True)
class Answer:
    """What a model answers.

    Attributes:
        score: The task's metric, in [-1, 1].
        losses: Each row's loss against its label, (rows,).
    """

    score: float
    losses: np.ndarray

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


@dataclass
class Answers:
    """Asks a model under masks; the model itself is not changed.

    Attributes:
        model: The dense model.
        tokenizer: Pads the batches.
        rows: Encoded rows that nothing is fitted on.
        task: Names the metric.
        path: Keeps the answers, so that a search that was killed need not ask again; None keeps none.
        asked: How often the model really had to answer.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    rows: Dataset
    task: Task
    path: Path | None = None
    asked: int = 0
    _known: dict[str, Answer] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Read what is known; a line that a kill cut short is not."""
        for line in (
            self.path.read_text(encoding="utf-8").splitlines() if self.path and self.path.is_file() else ()
        ):
            try:
                key, value, losses = json.loads(line)
            except ValueError:
                continue
            self._known[key] = Answer(value, np.asarray(losses, dtype=np.float32))

    def of(self, masks: Masks, hard: Collection[int] = ()) -> Answer:
        """Return what the model answers under masks of heads, neurons or layers.

        Args:
            masks: 0/1 masks; parts without one are whole.
            hard: Layers that attend hard.

        Returns:
            Score and losses.
        """
        key = " ".join(
            f"{layer}.{kind}.{np.packbits(mask.numpy() > 0).tobytes().hex()}"
            for (layer, kind), mask in sorted(masks.items())
            if not mask.all()
        ) + "".join(f" hard.{layer}" for layer in sorted(hard))
        if key not in self._known:
            self.asked += 1
            with applied(self.model, masks), hardened(self.model, hard):
                logits = predict(self.model, self.rows, self.tokenizer, batch_size=64)
            self._known[key] = answer = self._judged(logits)
            if self.path:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, answer.score, answer.losses.tolist()]) + "\n")
        return self._known[key]

    def _judged(self, logits: np.ndarray) -> Answer:
        losses = row_losses(torch.from_numpy(logits), torch.from_numpy(loss_labels(self.rows))).numpy()
        return Answer(score(self.task.metric, logits, labels_of(self.rows)), losses)
