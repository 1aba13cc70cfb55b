"""A climb in progress: the rungs that are done lie on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.export.loading import load_classifier
from leanformer.measure.bench import Variant
from leanformer.methods.ladder.board import Board
from leanformer.methods.ladder.rungs import Goal, Rung, Step, places, record, rung_from
from leanformer.methods.problem import Compressed, Problem, Serving
from leanformer.progress import say
from leanformer.structure.mask_files import load_masks, save_masks
from leanformer.tasks.judged import examples_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from leanformer.methods.ae_bert import Found
    from leanformer.structure.masks import Masks

STATE_FILE = "ladder.json"
SERVED, FORMS_SERVED = 3, 2
"""A smaller model is measured in so many runtimes, the fastest sound ones of the dense model, and so many forms."""

CLEARLY_SLOWER = 1.1
SAID_ERROR = 0.05
"""Points: a smaller standard error is rounded away."""

Measured = tuple[float, str, list[Step]]
"""What a rung's work gives: pruning ratio, note, steps."""


@dataclass(frozen=True)
class Built:
    """A model that a rung is about.

    Attributes:
        model: The model.
        masks: What was kept of the dense one; empty where that is all.
        pruning_ratio: Share of the encoder's weights that is gone.
        facts: The "search", "training" and "exits" facts of result.json; "macs_share" where masks do not tell.
    """

    model: PreTrainedModel
    masks: Masks = field(default_factory=dict)
    pruning_ratio: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


class Ascent:
    """The rungs climbed so far.

    Args:
        problem: The dense model, its rows and the budget; `problem.serving` is needed.
        serving: How speed is measured.
    """

    def __init__(self, problem: Problem, serving: Serving) -> None:
        self.problem, self.serving = problem, serving
        self.goal = Goal(problem.budget, serving.target)
        self.rungs: list[Rung] = []
        self.searches: dict[Hashable, Found] = {}
        self._state: dict[str, Any] = self._read() or {"dense_score": 0.0, "dense_ms": 0.0, "rungs": []}
        self.board = Board(problem, self.goal, serving.threads, self.home(0))
        if not (self.board.dense / "model" / "config.json").is_file():
            self.board.keep(problem.teacher, self.board.dense)

    def home(self, number: int) -> Path:
        """Return the folder of a rung; the first ones, of the dense model, share theirs."""
        return self.problem.folder / f"rung-{number}"

    @property
    def dense_ms(self) -> float:
        """What the dense model takes in PyTorch float32."""
        return float(self._state["dense_ms"])

    @property
    def is_met(self) -> bool:
        """Whether a step meets the limits, so that the climb is over."""
        return any(step.met for _, step in places(self.rungs))

    def sound(self) -> list[Step]:
        """Return the sound steps of the dense model in what the user wants to be served in, the fastest first."""
        steps = [
            step for rung in self.rungs for step in rung.steps if step.sound and rung.pruning_ratio == 0.0
        ]
        return sorted(steps, key=lambda step: -step.ratio)

    def served(self) -> list[Variant]:
        """Return the variants that a smaller model is measured in: the fastest sound ones, or the smallest.

        In each runtime and precision the two fastest forms. Of a smaller model another one may be the fastest.
        """
        chosen: dict[tuple[str, str], list[Variant]] = {}
        steps = self.sound()
        if self.goal.budget.size_mb is not None:
            steps = sorted(steps, key=lambda step: step.size_mb)
        for step in steps:
            chosen.setdefault((step.runtime, step.precision), []).append(step.variant)
        return [variant for forms in list(chosen.values())[:SERVED] for variant in forms[:FORMS_SERVED]]

    def dense_rung(
        self,
        name: str,
        words: str,
        variants: Callable[[], Sequence[Variant]],
        note: Callable[[Sequence[Step]], str] = lambda steps: "",
    ) -> Rung:
        """Climb a rung on which the model stays as it is.

        Args:
            name: Of the rung.
            words: What it does.
            variants: Says what is to be measured; those of a precision int8 are quantised within the bound.
            note: Says what else is to be said of what was measured.

        Returns:
            The rung.
        """

        def work() -> Measured:
            said, steps = self._measured(self.board.dense, variants(), pruning_ratio=0.0)
            return 0.0, "; ".join(filter(None, (said, note(steps)))), steps

        return self._climbed(name, words, work)

    def model_rung(
        self,
        name: str,
        words: str,
        build: Callable[[Path], Built],
        variants: Sequence[Variant] | None = None,
        note: str = "",
    ) -> Rung:
        """Climb a rung with a model of its own.

        Args:
            name: Of the rung.
            words: What it does.
            build: Makes the model; it is given the rung's folder for scratch.
            variants: What is measured; by default those that serve the dense model best.
            note: What is to be said beside what was measured.

        Returns:
            The rung.
        """
        home = self.home(len(self.rungs))

        def work() -> Measured:
            if not (home / "facts.json").is_file():  # else a kill came between training and measuring
                self._keep(home, build(home))
            ratio = json.loads((home / "facts.json").read_text(encoding="utf-8"))["pruning_ratio"]
            said, steps = self._measured(home, self.served() if variants is None else variants, ratio)
            return ratio, "; ".join(filter(None, (note, said, self._fewer_threads(home, steps)))), steps

        return self._climbed(name, words, work)

    def skipped(self, name: str, words: str, note: str, seconds: float) -> Rung:
        """Note a rung that could not be climbed, why, and what it cost to find out."""
        return self._climbed(name, words, lambda: (0.0, note, []), seconds)

    def built(self, number: int) -> Built:
        """Return the model of a rung."""
        home = self.home(number)
        if not (home / "facts.json").is_file():  # a rung of the dense model
            return Built(copy.deepcopy(self.problem.teacher))
        facts = json.loads((home / "facts.json").read_text(encoding="utf-8"))
        model, _ = load_classifier(home / "model")
        path = home / "masks.safetensors"
        masks = load_masks(path) if path.is_file() else {}
        return Built(model.eval(), masks, facts["pruning_ratio"], facts["facts"])

    def answer(self) -> Compressed:
        """Return the step that the goal chooses."""
        (number, position), _ = self.goal.choose(self.rungs)
        built = self.built(number)
        problem = self.problem
        judged = examples_in(problem.held_out, problem.task)
        facts = record(self.goal, self.rungs, problem.task.metric, judged, self._state["dense_score"])
        return Compressed(
            built.model,
            built.masks,
            built.facts.get("search"),
            built.facts.get("training", {}),
            facts,
            self.rungs[number].steps[position].variant,
            removed_share=built.pruning_ratio if "macs_share" in built.facts else None,
            macs_share=built.facts.get("macs_share"),
            exits=built.facts.get("exits"),
        )

    def _climbed(self, name: str, words: str, work: Callable[[], Measured], spent_s: float = 0.0) -> Rung:
        """Do a rung, or read what was measured of it before."""
        number = len(self.rungs)
        known = self._state["rungs"]
        if number < len(known):
            rung = rung_from(known[number])
        else:
            started = time.perf_counter()
            ratio, note, steps = work()
            seconds = spent_s + time.perf_counter() - started
            rung = Rung(name, words, seconds, ratio, note, tuple(steps))
            known.append(asdict(rung))
            self._write()
        self.rungs.append(rung)
        say(self._line(rung))
        return rung

    def _measured(
        self, home: Path, variants: Sequence[Variant], pruning_ratio: float
    ) -> tuple[str, list[Step]]:
        """Measure variants of a model, those in int8 as far as int8 keeps the score; say what is to be said."""
        notes, ready = [], []
        for runtime, precision, form in variants:
            if precision == "int8":
                notes.append(self.board.quantise(home, runtime, form))
            if precision != "int8" or self.board.has_int8(home, runtime, form):
                ready.append((runtime, precision, form))
        if not ready:
            return "; ".join(filter(None, notes)), []
        steps, score, dense_ms = self.board.measure(home, ready, pruning_ratio)
        if not self._state["rungs"]:  # the first time counts: a resumed run must not see another
            self._state.update(dense_score=score, dense_ms=dense_ms)
        return "; ".join(filter(None, notes)), steps

    def _fewer_threads(self, home: Path, steps: Sequence[Step]) -> str:
        """Say where a model is faster with fewer threads: a small one may wait for them longer than it computes."""
        best, threads = max(steps, key=lambda step: step.ratio, default=None), self.serving.threads
        if best is None or threads == 1 or best.runtime == "torch":  # whose count holds for the whole process
            return ""
        times = self.board.times_by_threads(home, best.variant)
        count = min(times, key=times.__getitem__)
        if times[threads] < CLEARLY_SLOWER * times[count]:
            return ""
        few = f"{count} thread{'s' if count > 1 else ''}"
        return f"{best.runtime} is faster with {few}: {times[count]:.3g} ms, with {threads} {times[threads]:.3g} ms"

    def _keep(self, home: Path, built: Built) -> None:
        """Write a rung's model; the facts come last and say that it is whole."""
        self.board.keep(built.model, home)
        if built.masks:
            save_masks(built.masks, home / "masks.safetensors")
        facts = {"pruning_ratio": built.pruning_ratio, "facts": built.facts}
        _write_whole(home / "facts.json", facts)
        shutil.rmtree(home / "checkpoints", ignore_errors=True)

    def _line(self, rung: Rung) -> str:
        """Say what came of a rung."""
        steps = sorted(rung.steps, key=lambda step: (step.met, step.sound, step.ratio))
        if not steps:
            return f"{rung.name}: {rung.note or 'nothing to measure'}"
        best = steps[-1]
        lost = f"{best.drop_points:.1f} points lost" if best.drop_points > 0 else "no point lost"
        lost += f" (±{best.drop_error:.1f})" if best.drop_error >= SAID_ERROR else ""
        verdict = " (too much)" if not best.sound else ", which meets the budget" if best.met else ""
        return (
            f"{rung.name}: {best.ratio:.2f} times faster ({best.ratio_low:.2f} to {best.ratio_high:.2f}) in "
            f"{' '.join(filter(None, best.variant))}, {lost}{verdict}, {math.ceil(rung.seconds)} s"
        )

    def _read(self) -> dict[str, Any] | None:
        path = self.problem.folder / STATE_FILE
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def _write(self) -> None:
        _write_whole(self.problem.folder / STATE_FILE, self._state)


def _write_whole(path: Path, facts: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts), encoding="utf-8")
    os.replace(partial, path)
