"""One encoder for two tasks: the same pruned weights in both models, heads of their own, scores on held-out rows."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import multitask
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import pruning_ratio
from tiny import build_rows, tiny_logits, write_csv

MULTI = METHODS["multitask"]


@pytest.fixture
def other(tmp_path):
    """A second task with three classes, in a folder."""
    folder = tmp_path / "topics"
    folder.mkdir()
    for seed, (split, count) in enumerate((("train", 90), ("validation", 30)), start=5):
        rows = [
            (text, ("art", "news", "sport")[row % 3])
            for row, (text, *_) in enumerate(build_rows(count, seed=seed))
        ]
        write_csv(folder / f"{split}.csv", ("sentence", "label"), rows)
    return folder


@pytest.mark.parametrize(
    ("granularity", "within"), [pytest.param("weight", 0.001, marks=pytest.mark.thorough), ("unit", 0.06)]
)
def test_one_encoder_two_heads(problem, other, granularity, within):
    options = MULTI.settings(
        {"with": str(other), "selection": "global" if granularity == "unit" else "local"}
    )
    case = problem(granularity, ratio=0.5, options=options)
    found = MULTI.run(case)
    (name, companion), *rest = found.companions.items()
    assert (name, rest) == ("topics", [])
    dense, own, others = (EncoderView(model) for model in (case.teacher, found.model, companion))
    assert pruning_ratio(dense, found.masks, granularity) == pytest.approx(0.5, abs=within)
    for layer in range(2):
        for kind, matrix in own.matrices(layer).items():
            assert torch.equal(matrix, others.matrices(layer)[kind])
            if granularity == "weight":
                assert not matrix[found.masks[layer, kind] == 0].any()
    assert tiny_logits(found.model).shape == (2, 2)
    assert tiny_logits(companion).shape == (2, 3)
    assert [(task["name"], task["n"]) for task in found.tasks] == [("mood", 48), ("topics", 9)]
    assert all(0 <= task[key] <= 1 for task in found.tasks for key in ("dense", "compressed"))


def test_ranks_leave_both_models_to_the_share(problem, other):
    case = problem("rank", ratio=0.5, options=MULTI.settings({"with": str(other)}))
    found = MULTI.run(case)
    companion = found.companions["topics"]
    own, others = EncoderView(found.model), EncoderView(companion)
    assert found.removed_share == pytest.approx(0.5, abs=0.1)  # a rank is one of few here
    assert found.masks == {}
    weights = 0
    for layer in range(2):
        assert own.ranks(layer) == others.ranks(layer)
        weights += sum(rank * sum(own.matrices(layer)[name].shape) for name, rank in own.ranks(layer).items())
        for kind, matrix in own.matrices(layer).items():
            torch.testing.assert_close(matrix, others.matrices(layer)[kind])
    assert 1 - weights / EncoderView(case.teacher).prunable_weights() == pytest.approx(found.removed_share)
    assert (tiny_logits(found.model).shape, tiny_logits(companion).shape) == ((2, 2), (2, 3))


@pytest.mark.parametrize("named", ["", " , "])
def test_one_task_is_not_several(problem, named):
    with pytest.raises(BudgetError, match="needs more than one task"):
        MULTI.run(problem("weight", options=MULTI.settings({"with": named})))


def test_how_tasks_are_named(problem):
    options = MULTI.settings({"with": "rte@glue/RTE, topics", "rows": "100"})
    specs = multitask.others(problem("weight", options=options))
    assert [(one.source, one.data_dir, one.train_rows) for one in specs] == [
        ("rte", "glue/RTE", 100),
        ("topics", None, 100),
    ]
