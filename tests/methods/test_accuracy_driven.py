"""Accept or reject, by held-out loss and by the vote of the rows; and in which order parts are tried."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.methods import accuracy_driven
from leanformer.methods.accuracy_driven import Acceptance, without_parts
from leanformer.methods.registry import METHODS
from leanformer.search.answers import Answer
from leanformer.tasks.predict import predict
from leanformer.training.objective import task_loss

DRIVEN = METHODS["accuracy-driven"]


class Scripted:
    """Answers with losses by how many units are gone."""

    def __init__(self, losses):
        self.losses, self.asked = losses, []

    def of(self, masks, hard=()):
        gone = {key: int((mask == 0).sum()) for key, mask in masks.items()}
        self.asked.append((gone, sorted(hard)))
        return Answer(0.0, np.asarray(self.losses(gone), dtype=np.float32))


def acceptance(losses):
    answers = Scripted(losses)
    base = answers.of({})
    return Acceptance(answers, base, base.loss), answers


@pytest.mark.parametrize(
    ("losses", "accepted"),
    [
        ([0.9, 0.9, 0.9, 0.9], True),
        ([1.0, 1.0, 1.0, 0.9], True),  # equal losses vote for it
        ([1.0, 1.0, 1.0, 1.0], False),  # no less on average
        ([0.1, 0.1, 1.1, 1.1], False),  # less on average, for half of the rows alone
        ([0.1, 0.1, 0.1, 4.0], False),  # most rows gain, one loses more
    ],
)
def test_the_mean_must_fall_and_most_rows_must_not_lose(losses, accepted):
    judge, _ = acceptance(lambda gone: losses if gone else [1.0] * 4)
    assert judge.accepts("a change", {(0, "head"): torch.zeros(4)}, frozenset()) is accepted
    assert judge.least == (np.float32(np.mean(losses, dtype=np.float32)) if accepted else 1.0)
    assert judge.trials[-1]["accepted"] is accepted


def test_a_block_is_tried_whole_and_then_in_parts_only_if_it_was_near(tiny_model):
    view = EncoderView(tiny_model("bert"))
    for whole, parts in ((1.05, 4), (1.2, 0)):
        judge, answers = acceptance(
            lambda gone, whole=whole: [1.0 if gone in ({}, {(1, "head"): 1}) else whole]
        )
        without_parts(judge, view, {}, frozenset(), (1, "head"), 1)
        assert [gone for gone, _ in answers.asked[1:]] == [{(1, "head"): 4}] + parts * [{(1, "head"): 1}]


def test_accepted_parts_stay_gone_while_the_next_is_tried(tiny_model):
    view = EncoderView(tiny_model("bert"))
    table = {0: 1.0, 4: 1.05, 1: 0.9, 2: 0.95}
    judge, answers = acceptance(lambda gone: [table[sum(gone.values())]])
    masks = without_parts(judge, view, {}, frozenset(), (0, "head"), 1)
    assert [sum(gone.values()) for gone, _ in answers.asked] == [0, 4, 1, 2, 2, 2]
    assert masks[0, "head"].tolist() == [0, 1, 1, 1]


def test_neurons_are_tried_in_groups(tiny_model):
    view = EncoderView(tiny_model("bert", width=48))
    judge, answers = acceptance(lambda gone: [1.01 if gone else 1.0])
    without_parts(judge, view, {}, frozenset(), (0, "neuron"), 20)
    assert [gone[0, "neuron"] for gone, _ in answers.asked[1:]] == [48, 20, 20, 8]


@pytest.mark.parametrize("refit", ["no", "yes"])
def test_the_model_is_no_worse_on_the_rows_that_were_searched_on(problem, monkeypatch, refit):
    monkeypatch.setattr(accuracy_driven, "GROUP", 12)
    case = problem(budget=Budget(max_drop_points=1.0), options=DRIVEN.settings({"refit": refit}))
    found = DRIVEN.run(case)
    facts = found.search
    assert facts["loss"][1] <= facts["loss"][0]
    assert len(facts["trials"]) >= 2 + 4
    assert [trial["name"] for trial in facts["trials"][:3]] == [
        "hard attention in layer 1",
        "hard attention in layer 2",
        "FFN of layer 2",
    ]
    assert bool(found.training) == (refit == "yes")
    if refit == "no":
        logits = torch.from_numpy(predict(found.model, case.held_out, case.tokenizer))
        loss = task_loss(logits, torch.tensor(case.held_out["label"][:]))
        assert float(loss) == pytest.approx(facts["loss"][1], abs=1e-5)
