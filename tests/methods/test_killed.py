"""A method that is killed while it trains, or while it asks the held-out rows, ends as one that was not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leanformer.methods.registry import METHODS
from leanformer.search.answers import Answers
from leanformer.tasks.predict import predict
from leanformer.training.trainer import StageBar

KILLED_AT = 4


class Killed(Exception):
    pass


def ends_the_same(problem, name, granularity, patch_to_die, **options):
    """Run a method whole, and killed and resumed; return what was found, whole first."""
    method = METHODS[name]
    given = {"granularity": granularity, "options": method.settings(options)}
    whole = method.run(problem(folder="whole", **given))
    case = problem(folder="killed", **given)
    with pytest.MonkeyPatch.context() as patch:
        patch_to_die(patch)
        with pytest.raises(Killed):
            method.run(case)
    case = problem(folder="killed", resume=True, **given)
    resumed = method.run(case)
    assert whole.masks.keys() == resumed.masks.keys()
    assert all(torch.equal(mask, resumed.masks[key]) for key, mask in whole.masks.items())
    answers = [predict(found.model, case.held_out, case.tokenizer) for found in (whole, resumed)]
    assert np.allclose(*answers, atol=1e-5)
    return whole, resumed


@pytest.mark.parametrize(
    ("name", "granularity"),
    [("l0-heads", "head"), ("movement", "unit"), ("movement", "block"), ("grain", "dimension")],
)
def test_in_a_training_with_gates(problem, name, granularity):
    advance = StageBar.on_step_end

    def dies(self, args, state, control, **kwargs):
        if state.global_step == KILLED_AT:
            raise Killed
        advance(self, args, state, control, **kwargs)

    whole, resumed = ends_the_same(
        problem, name, granularity, lambda patch: patch.setattr(StageBar, "on_step_end", dies)
    )
    curves = [[entry["loss"] for entry in found.training["curve"]] for found in (whole, resumed)]
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)


def test_between_two_questions_of_accuracy_driven(problem):
    ask, asked = Answers._judged, []

    def dies(self, *given):
        asked.append(given)
        if len(asked) == KILLED_AT:
            raise Killed
        return ask(self, *given)

    whole, resumed = ends_the_same(
        problem, "accuracy-driven", "unit", lambda patch: patch.setattr(Answers, "_judged", dies)
    )
    assert whole.search["trials"] == resumed.search["trials"]
    assert len(asked) == KILLED_AT
