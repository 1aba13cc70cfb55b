"""The ladder of fidelities: how far a candidate's answers are from the dense model's, judged cheaply first.

BERT has no batch normalisation whose statistics could be re-estimated as EagleEye (arXiv 2007.02491) does, and
AE-BERT's abstract does not say what its "efficient evaluation" is. These are the three ways that it can be meant
(our reconstruction): zero-shot; LayerNorm statistics and biases recalibrated; a short training. Later ones stand
beside them: zero-shot after a closed-form repair, in one pass or in sequence. All of these are scored by the
divergence from the dense model. The cheapest builds no model: the sum of the sub-layers' own reconstruction errors.

Where the user limits what may change, the model of one fidelity is also asked for that, and for its score.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from leanformer.budget import BIAS, FLIPS
from leanformer.gpu import fastest_device
from leanformer.measure.harm import Seen, Watch
from leanformer.search.journal import Journal, Key, Unwritten
from leanformer.search.realise import START, Realiser, Repair
from leanformer.search.space import Candidate
from leanformer.structure.recalibrate import recalibrate_norms
from leanformer.tasks.encode import batches
from leanformer.tasks.metrics import divergence, score
from leanformer.tasks.predict import predict
from leanformer.training.teacher import autocast

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.tasks.task import Kind

ZERO_SHOT, RECALIBRATED, SHORT_TRAINING = "zero-shot", "recalibrated", "short-training"
REPAIRED, REPAIRED_IN_SEQUENCE = "repaired", "repaired-in-sequence"
REPAIRS: dict[str, Repair] = {
    ZERO_SHOT: "none",
    RECALIBRATED: "none",
    REPAIRED: "one pass",
    REPAIRED_IN_SEQUENCE: "in sequence",
    SHORT_TRAINING: START,
}
RECONSTRUCTION = "reconstruction"
FIDELITIES = (RECONSTRUCTION, *REPAIRS)
SCORE = "score"
HARMS = (FLIPS, BIAS, SCORE)
"""What is measured of a candidate under a watch; the score, in [-1, 1], tells what the limits cost."""

RECALIBRATION_ROWS = 64

Training = Callable[["PreTrainedModel"], None]


@dataclass
class Judge:
    """Measures candidates at a fidelity, once each: what the journal knows is not measured again.

    Attributes:
        realiser: Builds the candidates' models.
        tokenizer: Pads the batches.
        held_out: Encoded rows of train that nothing is fitted on.
        calibration: Encoded rows of train that recalibration reads.
        journal: Where measurements are kept.
        level_errors: Per group, (levels + 1,): what the sub-layer loses at each level kept, the rest re-fitted.
        short_training: Trains a model for a few steps, for the dearest fidelity.
        kind: The kind of task.
        watch: Limits on what may change, or None.
        watched: The fidelity whose models are held against them.
    """

    realiser: Realiser
    tokenizer: PreTrainedTokenizerBase
    held_out: Dataset
    calibration: Dataset
    journal: Journal
    level_errors: Sequence[np.ndarray] | None = None
    short_training: Training | None = None
    kind: Kind = "classification"
    watch: Watch | None = None
    watched: str = REPAIRED_IN_SEQUENCE
    _dense_logits: np.ndarray | None = field(default=None, repr=False)
    _dense_swaps: np.ndarray | None = field(default=None, repr=False)
    _harms: dict[Key, dict[str, float]] = field(default_factory=dict, repr=False)

    def measure(self, candidate: Candidate, fidelity: str, rows: int) -> float:
        """Return the divergence of a candidate from the dense model.

        Args:
            candidate: Levels kept, one a group.
            fidelity: One of `FIDELITIES`; or under a watch one of `HARMS`.
            rows: How many held-out rows to read; at most all.

        Returns:
            The divergence, or for `RECONSTRUCTION` a sum of errors; less is better. Of `HARMS` see
            `leanformer.measure.harm.Watch.harms`, and the score.

        Raises:
            ValueError: If the fidelity is unknown, or needs what was not given.
        """
        if fidelity == RECONSTRUCTION:  # so cheap that the journal need not know it
            return self._reconstruction_error(candidate)
        key = self.key(candidate, fidelity, rows)
        known = self.journal.get(key)
        if known is not None:
            return float(known["value"])
        started = time.perf_counter()
        value = self.evaluate(*key)
        self.journal.record(key, value, time.perf_counter() - started)
        return value

    def key(self, candidate: Candidate, fidelity: str, rows: int) -> Key:
        """Return the name of a measurement in the journal; `rows` are at most all."""
        return candidate, fidelity, min(rows, len(self.held_out))

    def evaluate(self, candidate: Candidate, fidelity: str, rows: int) -> float:
        """Measure a candidate, whatever the journal knows, and write nothing; see `measure`."""
        if fidelity in HARMS and self.watch is not None:
            watched = self.key(candidate, self.watched, rows)
            if watched not in self._harms:  # measured by another process, or before a kill
                self.evaluate(*watched)
            return self._harms[watched][fidelity]
        model = self._prepared(candidate, fidelity)
        logits = self._answers(model, rows)
        if self.watch is not None and fidelity == self.watched:
            self._harms[candidate, fidelity, rows] = self._harm(self.watch, model, logits)
        return divergence(self.dense_logits()[:rows], logits, self.kind)

    def _harm(self, watch: Watch, model: PreTrainedModel, logits: np.ndarray) -> dict[str, float]:
        """Hold a candidate's answers, and those to the twins, against the dense model's."""
        if self._dense_swaps is None:
            self._dense_swaps = watch.swaps(lambda part: self._asked(self.realiser.dense, part))
        rows = len(logits)
        labels = np.asarray(self.held_out["label"][:rows])
        dense = Seen(self.dense_logits()[:rows], self._dense_swaps)
        seen = Seen(logits, watch.swaps(lambda part: self._asked(model, part)))
        found = {name: figure.value for name, figure in watch.harms(dense, seen, labels).items()}
        return {**found, SCORE: score(watch.task.metric, logits, labels)}

    @staticmethod
    def travels(fidelity: str) -> bool:
        """Whether workers elsewhere can measure it: not what costs nothing, nor what trains in the run's folder."""
        return fidelity not in (RECONSTRUCTION, SHORT_TRAINING)

    def parcel(self) -> Judge:
        """Return a copy that can travel to another machine: in memory, without its journal and its training."""
        return Judge(
            self.realiser.parcel(),
            self.tokenizer,
            _own_rows(self.held_out),
            _own_rows(self.calibration),
            Unwritten(),
            kind=self.kind,
            watch=None if self.watch is None else self.watch.parcel(),
            watched=self.watched,
            _dense_logits=self.dense_logits(),
        )

    def _reconstruction_error(self, candidate: Candidate) -> float:
        if self.level_errors is None:
            raise ValueError("this judge was given no errors of the groups' levels")
        return float(sum(errors[level] for errors, level in zip(self.level_errors, candidate, strict=True)))

    def dense_logits(self) -> np.ndarray:
        """Return the dense model's answers on the held-out rows, (rows, classes)."""
        if self._dense_logits is None:
            self._dense_logits = self._answers(self.realiser.dense, len(self.held_out))
        return self._dense_logits

    def _prepared(self, candidate: Candidate, fidelity: str) -> PreTrainedModel:
        if fidelity not in REPAIRS:
            raise ValueError(f"'{fidelity}' is not one of {', '.join(FIDELITIES)}")
        model = self.realiser.build(candidate, REPAIRS[fidelity])
        if fidelity == RECALIBRATED:
            rows = self.calibration.select(range(min(RECALIBRATION_ROWS, len(self.calibration))))
            batch = next(iter(batches(rows, self.tokenizer, batch_size=RECALIBRATION_ROWS)))[1]
            recalibrate_norms(self.realiser.dense, model, batch)
        elif fidelity == SHORT_TRAINING:
            if self.short_training is None:
                raise ValueError("this judge was given no short training")
            self.short_training(model)
        return model

    def _answers(self, model: PreTrainedModel, rows: int) -> np.ndarray:
        return self._asked(model, self.held_out.select(range(rows)))

    def _asked(self, model: PreTrainedModel, rows: Dataset) -> np.ndarray:
        with autocast(fastest_device().type):
            return predict(model, rows, self.tokenizer, batch_size=64)


def _own_rows(part: Dataset) -> Dataset:
    """Return a data set's rows without the larger one that they were drawn from."""
    from datasets import Dataset

    return Dataset.from_dict(part.to_dict())
