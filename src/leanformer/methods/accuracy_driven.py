"""Accuracy-driven pruning with selective hard attention (AxFormer, Nagarajan, Sen, Stevens, Raghunathan 2020).

What the public code does: no gradient and no importance; a change is accepted where held-out data say that the model
is better with it. A fine-tuned model's losses on a held-out slice are the base; a change is accepted if the mean loss
falls below the least so far, and more than half of the rows lose no more than in the base. First each layer's
attention is tried hard (each query keeps its 30 largest probabilities, not renormalised), from the first layer on;
then, from the last layer down, the whole FFN, and where that is refused but the loss stays below 1.1 times the least,
its groups of 256 neurons one by one; then the whole attention, or its heads one by one. Optionally what was found is
fine-tuned.

Ours: a removed block leaves its output bias (the code drops it, too), so that what is removed is sliced exactly; the
slice that is searched on is held out of the training rows, and the report reads others (the code searches on the
rows that it reports on, unless told otherwise); the re-fit is this library's distillation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import recovered
from leanformer.progress import bar
from leanformer.search.answers import Answer, Answers
from leanformer.structure.hard_attention import with_hard_attention
from leanformer.structure.masks import Masks
from leanformer.structure.surgery import slice_units
from leanformer.tasks.split import few_rows

JUDGING_ROWS = 512
GROUP = 256
PATIENCE = 1.1
"""A block that is refused is tried in parts where the loss is no more than so many times the least."""


@dataclass
class Acceptance:
    """Says whether a change makes the model better on held-out rows.

    Attributes:
        answers: Asks the model.
        base: What the dense model answers.
        least: The least mean loss so far.
        trials: What was tried: name, loss, share of rows that lose no more than in the base, accepted.
    """

    answers: Answers
    base: Answer
    least: float
    trials: list[dict[str, Any]] = field(default_factory=list)

    def accepts(self, name: str, masks: Masks, hard: frozenset[int]) -> bool:
        """Try a change.

        Args:
            name: Of the change, for the record.
            masks: All masks with it.
            hard: All layers of hard attention with it.

        Returns:
            Whether the mean loss is the least so far, and most rows lose no more than in the base.
        """
        answer = self.answers.of(masks, hard)
        share = float((answer.losses <= self.base.losses).mean())
        accepted = answer.loss < self.least and share > 0.5
        self.least = answer.loss if accepted else self.least
        self.trials.append({"name": name, "loss": answer.loss, "no_worse": share, "accepted": accepted})
        return accepted

    @property
    def is_near(self) -> bool:
        """Whether the last trial, a refused one, was near enough to try its parts."""
        return bool(self.trials[-1]["loss"] < PATIENCE * self.least)


def run(problem: Problem) -> Compressed:
    """Try to do without each part; keep what the held-out rows are better without.

    Args:
        problem: What to compress; granularity "unit". The search ends by itself, no pruning ratio is aimed at.

    Returns:
        The compressed model, trained on where the option `refit` says so; its search facts hold every trial.
    """
    view = EncoderView(problem.teacher)
    rows = few_rows(problem.held_out, problem.task, JUDGING_ROWS, problem.seed)
    answers = Answers(
        problem.teacher, problem.tokenizer, rows, problem.task, problem.folder / "answers.jsonl"
    )
    base = answers.of({})
    acceptance = Acceptance(answers, base, base.loss)
    with bar() as progress:
        shown = progress.add_task("Accuracy-driven: layers", total=2 * view.n_layers)
        hard: frozenset[int] = frozenset()
        for layer in range(view.n_layers) if problem.options["hard_attention"] == "yes" else ():
            if acceptance.accepts(f"hard attention in layer {layer + 1}", {}, hard | {layer}):
                hard |= {layer}
            progress.advance(shown)
        progress.update(shown, completed=view.n_layers)
        masks: Masks = {}
        for layer in reversed(range(view.n_layers)):
            masks = without_parts(acceptance, view, masks, hard, (layer, "neuron"), GROUP)
            masks = without_parts(acceptance, view, masks, hard, (layer, "head"), 1)
            progress.advance(shown)
    model = slice_units(problem.teacher, masks)
    model = with_hard_attention(model, hard) if hard else model
    facts: dict[str, Any] = {
        "trials": acceptance.trials,
        "hard_attention": [layer + 1 for layer in sorted(hard)],
        "loss": [base.loss, acceptance.least],
        "evaluation_rows": len(rows),
    }
    if problem.options["refit"] == "no":
        return Compressed(model.eval(), masks, search=facts)
    return replace(recovered(problem, model, masks), search=facts)


def without_parts(
    acceptance: Acceptance,
    view: EncoderView,
    masks: Masks,
    hard: frozenset[int],
    key: tuple[int, str],
    group: int,
) -> Masks:
    """Try to do without a sub-layer, or without some of its units.

    Args:
        acceptance: Who decides.
        view: The dense encoder.
        masks: What is gone already.
        hard: Layers of hard attention.
        key: The sub-layer: (layer, "head") or (layer, "neuron").
        group: Units that are tried together.

    Returns:
        The masks, with the sub-layer's where something of it left.
    """
    layer, kind = key
    units = view.heads(layer) if kind == "head" else view.width(layer)
    if not units:
        return masks
    whole = {**masks, key: torch.zeros(units)}
    place = f"{'attention' if kind == 'head' else 'FFN'} of layer {layer + 1}"
    if acceptance.accepts(place, whole, hard):
        return whole
    if not acceptance.is_near:
        return masks
    for start in range(0, units, group):
        mask = masks[key].clone() if key in masks else torch.ones(units)
        mask[start : start + group] = 0.0
        if acceptance.accepts(f"{place}: {kind}s from {start + 1}", {**masks, key: mask}, hard):
            masks = {**masks, key: mask}
    return masks
