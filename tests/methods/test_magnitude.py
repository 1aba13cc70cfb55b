"""Magnitude pruning: what goes is what is small; the ratio is met; the recovered model is whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.methods import magnitude
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import encoder_weights, pruning_ratio
from leanformer.structure.importance import unit_magnitude, weight_magnitude
from leanformer.tasks.predict import predict
from leanformer.training.trainer import StageBar

SIMPLE = ("uniform-magnitude", "global-magnitude", "gradual-magnitude")


class Killed(Exception):
    pass


def zero_share(model) -> float:
    view = EncoderView(model)
    matrices = [view.matrices(layer)[name] for layer in range(view.n_layers) for name in MATRICES]
    return sum(int((m == 0).sum()) for m in matrices) / sum(m.numel() for m in matrices)


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("granularity", ["unit", "weight"])
@pytest.mark.parametrize("ratio", [0.5, 0.8])
def test_the_ratio_is_met_by_the_model_itself(problem, name, granularity, ratio):
    case = problem(granularity, ratio)
    found = METHODS[name].run(case)
    dense, small = EncoderView(case.teacher), EncoderView(found.model)
    removed = (
        zero_share(found.model)
        if granularity == "weight"
        else 1 - encoder_weights(small) / encoder_weights(dense)
    )
    assert removed == pytest.approx(ratio, abs=0.005)
    assert pruning_ratio(dense, found.masks) == pytest.approx(removed, abs=1e-9)
    assert np.isfinite(predict(found.model, case.held_out, case.tokenizer)).all()
    assert not found.model.training
    assert found.search is None
    assert found.training["steps"] == 10
    assert len(found.training["curve"]) == 10
    if granularity == "unit":
        assert small.encoder_parameters() < (1.1 - ratio) * dense.encoder_parameters()


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_uniform_removes_the_smallest_of_each_group(problem, granularity):
    case = problem(granularity)
    scores = (unit_magnitude if granularity == "unit" else weight_magnitude)(EncoderView(case.teacher))
    masks = magnitude.uniform(case).masks
    for key, mask in masks.items():
        kept, gone = scores[key][mask == 1], scores[key][mask == 0]
        assert kept.min() >= gone.max()
    shares = {kind: [float(masks[layer, kind].mean()) for layer in (0, 1)] for _, kind in masks}
    assert all(
        abs(first - second) <= (0.26 if kind == "head" else 0.03) for kind, (first, second) in shares.items()
    )


def test_global_removes_more_where_weights_are_small(problem):
    case = problem("weight")
    masks = magnitude.global_(case).masks
    scores = weight_magnitude(EncoderView(case.teacher))
    for name in MATRICES:
        assert masks[0, name].mean() < masks[1, name].mean()
    kept = torch.cat([scores[key][mask == 1] for key, mask in masks.items()])
    threshold = torch.quantile(
        torch.cat([score.flatten() for score in scores.values()]), case.budget.pruning_ratio
    )
    assert (kept >= 0.95 * threshold).float().mean() > 0.97  # levels of 1/64 blur the threshold a little


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_a_killed_gradual_pruning_ends_the_same(problem, granularity, monkeypatch):
    whole = magnitude.gradual(problem(granularity, folder="whole"))
    case = problem(granularity, folder="killed")
    advance = StageBar.on_step_end

    def dies(self, args, state, control, **kwargs):
        if state.global_step == 4:
            raise Killed
        advance(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(StageBar, "on_step_end", dies)
        with pytest.raises(Killed):
            magnitude.gradual(case)
    resumed = magnitude.gradual(problem(granularity, folder="killed", resume=True))
    assert all(torch.equal(mask, resumed.masks[key]) for key, mask in whole.masks.items())
    answers = [predict(found.model, case.held_out, case.tokenizer) for found in (whole, resumed)]
    assert np.allclose(*answers, atol=1e-5)


@pytest.mark.parametrize("name", SIMPLE)
def test_the_teacher_is_not_changed(problem, name):
    case = problem()
    before = {key: tensor.clone() for key, tensor in case.teacher.state_dict().items()}
    METHODS[name].run(case)
    assert all(torch.equal(tensor, before[key]) for key, tensor in case.teacher.state_dict().items())
