"""What the methods of early exit share: where the exits are, what they say of held-out rows, and the dial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from leanformer.dynamic.dial import Heard, curve, setting_that_agrees, setting_that_saves
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.gpu import borrowed
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.taken_over import earlier_run
from leanformer.progress import track
from leanformer.structure.exits import answers_between, exits_of, set_policy, with_exits
from leanformer.tasks.encode import batches
from leanformer.tasks.metrics import score

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_EXITS = 6
"""Each exit begins a part of the exported model: a deep encoder is not to become two dozen files (ours)."""


def exit_layers(n_layers: int) -> list[int]:
    """Return the layers that an exit follows: all but the last, or evenly spaced ones of a deep encoder."""
    step = -(-n_layers // MOST_EXITS)
    return list(range(step - 1, n_layers - 1, step))


def with_new_exits(problem: Problem, judges: bool = False) -> PreTrainedModel:
    """Return a copy of the dense model with new exits, by which no text leaves yet.

    Args:
        problem: The dense model and the seed.
        judges: Whether each exit also says how likely it is wrong.

    Returns:
        The model.

    Raises:
        ModelError: If texts can not leave between the layers of the family.
    """
    layers = exit_layers(EncoderView(problem.teacher).n_layers)
    model: PreTrainedModel = with_exits(problem.teacher, layers, judges=judges, seed=problem.seed)
    return model


def unseen(problem: Problem) -> Problem:
    """Return the problem with the held-out rows kept out of all training: the dial is set on them."""
    return replace(problem, judges_trained=True)


def once_trained(problem: Problem, method: str, train: Callable[[], Compressed]) -> Compressed:
    """Return a model with trained exits: an earlier run's, where the option `trained` names one.

    Args:
        problem: The options.
        method: Whose exits they are.
        train: Trains them anew.

    Returns:
        The model, by whose exits no text leaves yet.

    Raises:
        LeanformerError: If the earlier run can not be used.
    """
    earlier = earlier_run(problem, method)
    if earlier is None:
        return train()
    set_policy(earlier.model, "", 0.0)
    return Compressed(earlier.model, {}, training=earlier.facts(earlier.training))


@torch.no_grad()
def heard(problem: Problem, model: PreTrainedModel, policy: str) -> Heard:
    """Ask every exit for its answer to the held-out rows.

    Args:
        problem: The rows.
        model: A model with trained exits and without a policy.
        policy: Which one the answers are for.

    Returns:
        The answers.
    """
    rows, exits = problem.held_out, exits_of(model)
    logits = np.empty((len(exits) + 1, len(rows), int(model.config.num_labels or 0)), dtype=np.float32)
    wrong = np.empty((len(exits), len(rows)), dtype=np.float32) if policy == "learned" else None
    plan = list(batches(rows, problem.tokenizer))
    with borrowed(model) as device:
        for indices, batch in track(plan, "Exits: held-out rows"):
            inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
            out = model(**inputs, output_hidden_states=True)
            between = answers_between(model, out.hidden_states, inputs["attention_mask"])
            for number, (answer, judged) in enumerate(between):
                logits[number, indices] = answer.float().cpu().numpy()
                if wrong is not None and judged is not None:
                    wrong[number, indices] = judged.float().cpu().numpy()
            logits[-1, indices] = out.logits.float().cpu().numpy()
    layers = (*(layer + 1 for layer in exits), EncoderView(model).n_layers)
    return Heard(policy, logits, wrong, layers)


def with_dial(problem: Problem, trained: Compressed, policy: str) -> Compressed:
    """Set the dial of a model with trained exits by what the budget asks for.

    A pruning ratio is the share of the layers that does not run, on average; --max-drop the points that may be lost;
    the option `agreement` the share of the texts whose answer has to be that of the whole model.

    Args:
        problem: The held-out rows and the budget.
        trained: The model.
        policy: By what texts leave.

    Returns:
        The same with its policy; the "exits" facts hold the whole curve.

    Raises:
        BudgetError: If no setting does what is asked for.
    """
    found = heard(problem, trained.model, policy)
    labels, settings = np.asarray(problem.held_out["label"][:]), found.thresholds()
    scores = [score(problem.task.metric, found.answers(threshold), labels) for threshold in settings]
    threshold = _setting(problem, found, scores)
    set_policy(trained.model, policy, threshold)
    facts: dict[str, Any] = {
        "policy": policy,
        "threshold": threshold,
        "layers": list(found.layers),
        "left_at": np.bincount(found.leaves_at(threshold), minlength=len(found.layers)).tolist(),
        "saved": found.saved(threshold),
        "agreement": 1.0 - found.changed(threshold) / len(labels),
        "rows": len(labels),
        "curve": curve(found, settings, scores),
    }
    saved = found.saved(threshold)
    return replace(trained, exits=facts, removed_share=saved, macs_share=1.0 - saved)


def _setting(problem: Problem, found: Heard, scores: list[float]) -> float:
    """Return the threshold that the budget asks for."""
    budget, settings = problem.budget, found.thresholds()
    asked, confidence = float(problem.options["agreement"]), float(problem.options["confidence"])
    if asked:
        threshold = setting_that_agrees(found, asked, confidence)
        if threshold is None:
            raise BudgetError(
                f"{len(problem.held_out)} held-out rows do not show that {asked:g} of the answers stay, with "
                f"{confidence:g} confidence: ask for less agreement, or hold out more rows"
            )
        return threshold
    if budget.max_drop_points is not None and budget.pruning_ratio is None:
        dense = score(problem.task.metric, found.logits[-1], np.asarray(problem.held_out["label"][:]))
        within = [
            setting
            for setting, value in zip(settings, scores, strict=True)
            if 100 * (dense - value) <= budget.max_drop_points
        ]
        return max(within, key=found.saved, default=settings[0])
    share = budget.or_half().pruning_ratio or 0.0
    threshold = setting_that_saves(found, share)
    if threshold is None:
        most = max(found.saved(setting) for setting in settings)
        raise BudgetError(
            f"early exits save {most:.2f} of the layers at most here: give a smaller --pruning-ratio, or a method "
            "that removes weights"
        )
    return threshold
