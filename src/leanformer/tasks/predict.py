"""What a model answers on a data set, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from leanformer.errors import ModelError
from leanformer.progress import track
from leanformer.tasks.encode import batches
from leanformer.tasks.judged import answered_badly, labels_of
from leanformer.tasks.metrics import examples_of, score, scores
from leanformer.tasks.task import Task
from leanformer.tasks.words import Gathered

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Score:
    """A score with its uncertainty.

    Attributes:
        metric: The main metric's name.
        value: Its value, a fraction.
        low: Lower end of the 95% bootstrap interval.
        high: Upper end of the interval.
        n: The number of rows, of questions, or of pairs of embeddings, that it was measured on.
        extra: The values of the task's further metrics.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    extra: dict[str, float] = field(default_factory=dict)


def predict(
    model: PreTrainedModel,
    encoded: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int = 32,
    stage: str | None = None,
) -> np.ndarray:
    """Run a model over a data set, without dropout and without gradients.

    Args:
        model: A classifier of texts or of tokens, a model that answers questions or one of sentence embeddings; its
            training flag is restored afterwards.
        encoded: A data set made by `leanformer.tasks.encode.encode`.
        tokenizer: The model's tokenizer.
        batch_size: Rows a batch.
        stage: Name of a progress bar; none is shown without it.

    Returns:
        Logits in the data set's order, float32, (n, num_labels); for embeddings (n, hidden); of words
        (n, words, num_labels), and of questions (n, tokens, 2), see `Gathered`.
    """
    import torch

    from leanformer.encoders.outputs import logits_of
    from leanformer.encoders.sentence import answer_width
    from leanformer.gpu import borrowed

    was_training = model.training
    model.eval()
    gathered = Gathered(encoded, answer_width(model.config))
    stream = batches(encoded, tokenizer, batch_size)
    if stage is not None:
        stream = track(stream, stage, total=-(-len(encoded) // batch_size))
    try:
        with borrowed(model) as device, torch.inference_mode():
            for indices, batch in stream:
                inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
                gathered.put(indices, logits_of(model(**inputs)).float().cpu().numpy())
    finally:
        model.train(was_training)
    return gathered.logits


def evaluate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, encoded: Dataset, task: Task
) -> Score:
    """Measure a model's score on a data set.

    Args:
        model: A classifier of texts or of tokens.
        tokenizer: Its tokenizer.
        encoded: A labelled data set made by `leanformer.tasks.encode.encode`.
        task: The task, which names the metrics.

    Returns:
        The score with its interval.
    """
    return score_logits(predict(model, encoded, tokenizer), labels_of(encoded), task)


def score_logits(logits: np.ndarray, labels: np.ndarray, task: Task) -> Score:
    """Score answers that were predicted before.

    The interval is the percentile bootstrap over rows, questions or pairs of embeddings (Efron and Tibshirani, 1993,
    chapter 13), seed 0.

    Args:
        logits: Model outputs, (n, num_labels), or (n, words, num_labels).
        labels: What `leanformer.tasks.judged.labels_of` returns, (n,), or (n, words).
        task: The task, which names the metrics.

    Returns:
        The score with its interval.

    Raises:
        ModelError: If an answer is no finite number: it would count as the first class, or give a score of NaN.
    """
    broken = int(answered_badly(logits, labels).sum())
    if broken:
        raise ModelError(
            f"the model answers {broken} of {len(logits)} rows with no number (NaN or infinity), so it has no "
            "score: its weights are damaged, give another model"
        )
    generator = np.random.default_rng(0)
    examples = examples_of(task.metric, labels)
    draws = (generator.integers(0, examples, examples) for _ in range(RESAMPLES))
    values = scores(task.metric, logits, labels, draws)
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Score(
        metric=task.metric,
        value=score(task.metric, logits, labels),
        low=float(low),
        high=float(high),
        n=examples,
        extra={name: score(name, logits, labels) for name in task.extra_metrics},
    )
