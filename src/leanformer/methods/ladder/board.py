"""Measuring one rung of a ladder: variants of a model, on held-out rows and beside the dense one on the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leanformer.encoders.saving import save_model
from leanformer.export.layout import artefact
from leanformer.export.loading import load_classifier
from leanformer.export.quantise import quantise_onnx, quantise_openvino
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.export.sensitivity import HeldOut, Quantiser, quantise_within
from leanformer.export.variants import ensure_artefact
from leanformer.measure.bench import BenchRow, Variant, bench
from leanformer.measure.clock import interleave
from leanformer.measure.harm import Seen
from leanformer.measure.samples import sample_batches
from leanformer.measure.statistics import median_interval
from leanformer.methods.ladder.rungs import STANDARD_ERRORS, Goal, Step
from leanformer.tasks.predict import predict

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from leanformer.methods.problem import Problem

DENSE, SMALL = "dense", "model"
ROUNDS, LIMIT_S = 12, 12.0
QUICK_ROUNDS, QUICK_LIMIT_S = 6, 4.0


@dataclass(frozen=True)
class Board:
    """Measures models of one problem for one goal.

    Attributes:
        problem: Held-out rows, tokenizer, task.
        goal: What steps are judged by.
        threads: Of every runtime.
        dense: The folder of the dense model, with its exports: `model/`, `onnx/`, `openvino/`.
    """

    problem: Problem
    goal: Goal
    threads: int
    dense: Path
    _answers: dict[Path, np.ndarray] = field(default_factory=dict, repr=False)
    _dense_seen: list[Seen] = field(default_factory=list, repr=False)

    def times_by_threads(self, home: Path, variant: Variant) -> dict[int, float]:
        """Time one variant with one thread, two, four ... up to all of them, side by side.

        Args:
            home: The folder that holds `model/` and what is exported of it.
            variant: Runtime, precision and form.

        Returns:
            Milliseconds of a batch by number of threads.
        """
        problem, (runtime, precision, form) = self.problem, variant
        counts = sorted({*(2**power for power in range(self.threads.bit_length())), self.threads})
        source = home / "model" if runtime == "torch" else artefact(home, runtime, precision, form)
        batch = min(self.goal.target.batch, len(problem.held_out))
        samples = sample_batches(problem.held_out, problem.tokenizer, batch)
        runners = {
            str(count): load_runner(source, runtime, precision, count, form) for count in counts if count > 0
        }
        times = interleave(runners, samples, QUICK_ROUNDS, QUICK_LIMIT_S, seed=problem.seed)
        return {count: median_interval(times[str(count)], problem.seed)[0] for count in counts}

    def keep(self, model: PreTrainedModel, home: Path) -> None:
        """Write a model where `measure` looks for it.

        Args:
            model: The model.
            home: The folder of its rung.
        """
        save_model(model, self.problem.tokenizer, home / "model")

    def measure(
        self, home: Path, variants: Sequence[Variant], pruning_ratio: float
    ) -> tuple[list[Step], float, float]:
        """Score and time variants of a model beside the dense one in PyTorch float32.

        Args:
            home: The folder that holds `model/` and what is exported of it.
            variants: Runtime, precision and form of each; exported where that is missing.
            pruning_ratio: Share of the encoder's weights that is gone.

        Returns:
            One judged step a variant, and the dense model's score and milliseconds.
        """
        problem, size = self.problem, min(self.goal.target.batch, len(self.problem.held_out))
        own = DENSE if home == self.dense else SMALL
        models = {DENSE: self.dense / "model", own: home / "model"}
        rows = bench(
            models,
            problem.held_out,
            problem.tokenizer,
            problem.task,
            batches=[size],
            threads=self.threads,
            rounds=QUICK_ROUNDS if problem.quick else ROUNDS,
            limit_s=QUICK_LIMIT_S if problem.quick else LIMIT_S,
            seed=problem.seed,
            artefacts={DENSE: self.dense, own: home},
            calibration=problem.held_out,
            variants={own: variants},
        )
        baseline = rows[0]
        found = {(row.runtime, row.precision, row.form): row for row in rows if row.model == own}
        steps = [
            replace(_step(found[variant], baseline), harms=self._harms(home, variant))
            for variant in variants
            if variant in found
        ]
        return [self.goal.judged(step, pruning_ratio) for step in steps], baseline.score, baseline.latency_ms

    def _harms(self, home: Path, variant: Variant) -> dict[str, float]:
        """Hold a variant of a model against the budget's limits on what may change; empty without any."""
        problem, (runtime, precision, form) = self.problem, variant
        watch = problem.watch
        if watch is None:
            return {}
        if not self._dense_seen:
            plain, _ = load_classifier(self.dense / "model")
            asked = watch.see(lambda rows: predict(plain, rows, problem.tokenizer), problem.held_out)
            self._dense_seen.append(asked)
        source = home / "model" if runtime == "torch" else artefact(home, runtime, precision, form)
        runner = load_runner(source, runtime, precision, self.threads, form)
        seen = watch.see(lambda rows: predict_with(runner, rows, problem.tokenizer), problem.held_out)
        found = watch.harms(self._dense_seen[0], seen, np.asarray(problem.held_out["label"][:]))
        return {name: figure.value for name, figure in found.items()}

    def quantise(self, home: Path, runtime: str, form: str) -> str:
        """Write a model's int8 file.

        Where the model in float32 loses no more than may be, sub-layers return to float until int8 does not either.

        Args:
            home: The folder that holds `model/`.
            runtime: "onnxruntime" or "openvino".
            form: One of `leanformer.encoders.forms.FORMS`.

        Returns:
            What is to be said of it, or "". There is no file afterwards where int8 loses too much even with all
            sub-layers in float.
        """
        problem, held_out = self.problem, self.problem.held_out
        if self.has_int8(home, runtime, form):
            return ""
        ensure_artefact(home / "model", home, runtime, "fp32", problem.tokenizer, held_out, form=form)
        quantiser = self._quantiser(home, runtime, form)
        if not self.holds(home):
            quantiser(float_sublayers=(), into=home)
            return ""
        within = quantise_within(quantiser, home, runtime, self._bound(), form)
        name = " ".join(filter(None, (runtime, "int8", form)))
        if within.quantised is None:
            lost = within.loss.drop_points
            return f"{name} loses {lost:.1f} points even with all sub-layers in float"
        in_float = len(within.quantised.float_sublayers)
        return f"{name}: {in_float} sub-layers stayed in float" if in_float else ""

    def has_int8(self, home: Path, runtime: str, form: str) -> bool:
        """Whether there is an int8 file."""
        return artefact(home, runtime, "int8", form).is_file()

    def holds(self, home: Path) -> bool:
        """Whether a model, in float32, loses no more than may be on the held-out rows, a standard error added."""
        bound = self._bound()
        return bound.keeps(bound.loss_of(self.answers(home)))

    def _bound(self) -> HeldOut:
        problem, dense = self.problem, self.answers(self.dense)
        limit = self.goal.max_drop_points
        return HeldOut(
            problem.held_out,
            problem.tokenizer,
            problem.task.metric,
            dense,
            limit,
            standard_errors=STANDARD_ERRORS,
        )

    def answers(self, home: Path) -> np.ndarray:
        """Return a model's answers on the held-out rows, (rows, num_labels), in float32; computed once."""
        if home not in self._answers:
            model, _ = load_classifier(home / "model")
            self._answers[home] = predict(model, self.problem.held_out, self.problem.tokenizer)
        return self._answers[home]

    def _quantiser(self, home: Path, runtime: str, form: str) -> Quantiser:
        if runtime == "onnxruntime":
            return partial(quantise_onnx, home, form=form)
        # Calibrated on the rows that the run's own exports are calibrated on: the same file comes out.
        return partial(quantise_openvino, home, self.problem.held_out, self.problem.tokenizer, form=form)


def _step(row: BenchRow, baseline: BenchRow) -> Step:
    return Step(
        row.runtime,
        row.precision,
        row.form,
        row.latency_ms,
        row.ratio,
        row.ratio_low,
        row.ratio_high,
        row.score,
        100 * (baseline.score - row.score),
        row.size_mb,
        drop_error=row.drop_error,
    )
