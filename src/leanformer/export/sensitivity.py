"""Int8 within a bound: what it hurts most returns to float until the loss on held-out rows is small enough.

Everything here reads held-out training rows, never those that a score is reported on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from leanformer.encoders.forms import PLAIN
from leanformer.errors import DataError
from leanformer.export.layout import UNFINISHED, artefact, find_artefact, parts
from leanformer.export.quantise import Quantised
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sublayers import Sublayer, sublayers
from leanformer.measure.statistics import drop_error
from leanformer.progress import track
from leanformer.tasks.judged import labels_of
from leanformer.tasks.metrics import METRICS, divergence, score

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from leanformer.tasks.task import Kind

RANKING_ROWS = 128
MAX_DIVERGENCE = 0.01
"""In nats, where rows are too few for a score: by Pinsker's inequality the probabilities of the answers move by less
than 0.071 in the mean (total variation)."""


class Quantiser(Protocol):
    """Makes an int8 file: one of `leanformer.export.quantise`, its other arguments given (functools.partial)."""

    def __call__(self, *, float_sublayers: Sequence[Sublayer], into: Path) -> Quantised:
        """Write into a folder, with these sub-layers in float."""
        ...


@dataclass(frozen=True)
class Loss:
    """What int8 costs on held-out training rows.

    Attributes:
        float_sublayers: The sub-layers that stayed in float.
        score: The int8 model's score, in [-1, 1].
        drop_points: How far that is below the reference, in points.
        divergence: Mean KL from the reference in nats; see `leanformer.tasks.metrics.divergence`.
        drop_error: Standard error of `drop_points`, rows paired.
    """

    float_sublayers: tuple[Sublayer, ...]
    score: float
    drop_points: float
    divergence: float
    drop_error: float


@dataclass(frozen=True)
class HeldOut:
    """Rows to measure a loss on, and how much of it is allowed.

    Where one answer weighs more than `max_drop_points`, the score can not tell a good model from a bad one, and
    `max_divergence` is the bound instead.

    Attributes:
        rows: Encoded and labelled held-out training rows.
        tokenizer: The model's tokenizer.
        metric: A key of `leanformer.tasks.metrics.METRICS`.
        logits: The float32 model's answers on the rows, (rows, num_labels).
        max_drop_points: The bound on the score.
        max_divergence: The bound where rows are few.
        standard_errors: How many are added to the points lost before they are held against the bound.
    """

    rows: Dataset
    tokenizer: PreTrainedTokenizerBase
    metric: str
    logits: np.ndarray
    max_drop_points: float
    max_divergence: float = MAX_DIVERGENCE
    standard_errors: float = 0.0

    @property
    def kind(self) -> Kind:
        """The kind of task."""
        return METRICS[self.metric].needs

    @property
    def few(self) -> bool:
        """Whether a single answer outweighs the bound on the score."""
        return 0 < len(self.rows) * self.max_drop_points < 100

    def loss(self, made: Quantised) -> Loss:
        """Measure an int8 model.

        Args:
            made: The model.

        Returns:
            Its loss.
        """
        return self.loss_of(answers(made, self.rows, self.tokenizer), made.float_sublayers)

    def loss_of(self, logits: np.ndarray, float_sublayers: tuple[Sublayer, ...] = ()) -> Loss:
        """Measure answers.

        Args:
            logits: Of any model on the rows, (rows, num_labels).
            float_sublayers: What the loss is to say of the model.

        Returns:
            Its loss.
        """
        labels = labels_of(self.rows)
        value, reference = (score(self.metric, found, labels) for found in (logits, self.logits))
        error = drop_error(self.metric, self.logits, logits, labels)
        drop = 100 * (reference - value)
        return Loss(float_sublayers, value, drop, divergence(self.logits, logits, self.kind), error)

    def keeps(self, loss: Loss) -> bool:
        """Whether the score keeps to the bound, with the standard errors added."""
        return bool(loss.drop_points + self.standard_errors * loss.drop_error <= self.max_drop_points)

    def allows(self, loss: Loss) -> bool:
        """Whether a loss is within the bound."""
        if self.few:
            return bool(loss.divergence <= self.max_divergence)
        return self.keeps(loss)


@dataclass(frozen=True)
class Within:
    """What came of it.

    Attributes:
        quantised: The int8 model within the bound; None where there is none, and then there is no file either.
        loss: Its loss; where there is none, that of the last one that was tried.
        trials: All losses on the way, in the order of measuring.
        ranking: Sub-layers, the most sensitive one first; empty where plain int8 was good enough.
    """

    quantised: Quantised | None
    loss: Loss
    trials: tuple[Loss, ...]
    ranking: tuple[Sublayer, ...] = ()


def answers(made: Quantised, rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Run an int8 model over rows.

    Args:
        made: The model.
        rows: Encoded rows.
        tokenizer: Its tokenizer.

    Returns:
        Logits, (rows, num_labels).
    """
    return predict_with(load_runner(made.path, made.runtime, made.precision), rows, tokenizer)


def sensitivities(
    quantiser: Quantiser,
    out: Path,
    runtime: str,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    form: str = PLAIN,
    kind: Kind = "classification",
) -> dict[Sublayer, float]:
    """Measure what quantising each sub-layer alone costs, with all other ones in float.

    Args:
        quantiser: Makes the int8 files.
        out: The folder that holds `onnx/` or `openvino/` with the float32 model.
        runtime: "onnxruntime" or "openvino".
        rows: Encoded held-out training rows; the first 128 are read.
        tokenizer: The model's tokenizer.
        form: Of the model; the quantiser has to be of the same.
        kind: The kind of task.

    Returns:
        By sub-layer, the divergence from float32, the largest one first. What is quantised outside the layers
        (embeddings and head) is part of every value.

    Raises:
        DataError: If there are no rows.
        ModelError: If the file's nodes do not bear the names of layers.
    """
    if len(rows) == 0:
        raise DataError("the sub-layers are ranked on held-out training rows, and there are none")
    rows = rows.select(range(min(RANKING_ROWS, len(rows))))
    path = find_artefact(out, runtime, "fp32", form)
    exact = predict_with(load_runner(path, runtime), rows, tokenizer)
    every = list(sublayers(path))
    found = {}
    for alone in track(every, "int8: ranking the sub-layers"):
        others = [sublayer for sublayer in every if sublayer != alone]
        with tempfile.TemporaryDirectory(prefix=".int8-", suffix=UNFINISHED, dir=out) as scratch:
            made = quantiser(float_sublayers=others, into=Path(scratch))
            found[alone] = divergence(exact, answers(made, rows, tokenizer), kind)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def quantise_within(
    quantiser: Quantiser, out: Path, runtime: str, held_out: HeldOut, form: str = PLAIN
) -> Within:
    """Quantise as much of a model as the bound allows.

    Everything is int8 at first. Where that loses too much, the sub-layers are ranked and the most sensitive 1, 2,
    4 ... return to float until the bound holds; then halving finds how many of the last ones can be int8 again.

    Args:
        quantiser: Makes the int8 files.
        out: The folder that holds `onnx/` or `openvino/` with the float32 model; the int8 file is put beside it.
        runtime: "onnxruntime" or "openvino".
        held_out: Rows and bound.
        form: Of the model; the quantiser has to be of the same.

    Returns:
        The model, or None in its place, and what was measured.

    Raises:
        DataError: If there are no rows.
        ModelError: If the model can not be quantised.
    """
    if len(held_out.rows) == 0:
        raise DataError("int8 is accepted by held-out training rows, and there are none")
    with tempfile.TemporaryDirectory(prefix=".int8-", suffix=UNFINISHED, dir=out) as scratch:
        trials: list[Loss] = []
        made: dict[int, Quantised] = {}
        ranking: tuple[Sublayer, ...] = ()

        def holds(count: int) -> bool:
            """Try int8 with the first sub-layers of the ranking in float."""
            made[count] = quantiser(float_sublayers=ranking[:count], into=Path(scratch) / str(count))
            trials.append(held_out.loss(made[count]))
            return held_out.allows(trials[-1])

        if holds(0):
            return Within(_moved(made[0], out), trials[-1], tuple(trials))
        rows, tokenizer = held_out.rows, held_out.tokenizer
        ranking = tuple(sensitivities(quantiser, out, runtime, rows, tokenizer, form, held_out.kind))
        count = fewest(holds, len(ranking))
        if count is None:
            return Within(None, trials[-1], tuple(trials), ranking)
        loss = next(trial for trial in trials if len(trial.float_sublayers) == count)
        return Within(_moved(made[count], out), loss, tuple(trials), ranking)


def fewest(holds: Callable[[int], bool], total: int) -> int | None:
    """Find the least number for which something holds that does not hold for 0, by doubling, then halving.

    Args:
        holds: Whether it holds for a number; taken to stay true once it is.
        total: The largest number.

    Returns:
        The number, or None where it does not hold for `total` either.
    """
    low, high = 0, min(1, total)
    while high > low and not holds(high):
        low, high = high, min(2 * high, total)
    if high == low:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _moved(made: Quantised, out: Path) -> Quantised:
    """Move an int8 model, named by its form, beside the float32 one; the file that says it is there comes last."""
    target = artefact(out, made.runtime, made.precision).with_name(made.path.name)
    for part in reversed(parts(made.path)):
        os.replace(part, target.parent / part.name)
    return replace(made, path=target)
