"""Masks in training: fixed ones keep their zeros, gradual ones only grow, end at the ratio, and survive a kill."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.search.realise import masks_of, unit_space, weight_space
from leanformer.structure.cost import pruning_ratio
from leanformer.structure.importance import unit_magnitude, weight_magnitude
from leanformer.structure.masks import Masks, applied, make_permanent
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import fine_tune
from leanformer.training.masking import REFRESHES, fixed_masks, fixed_zeros, gradual_masks

RATIO = 0.6
SHORT = TrainingConfig(learning_rate=5e-3, epochs=3, batch_size=16)  # 24 steps


class Killed(Exception):
    pass


@pytest.fixture
def dense(tiny_model):
    return tiny_model("bert", hidden=16, width=32)


@pytest.fixture
def train(mood_train, mood_task, tiny_tokenizer, tmp_path):
    """The function train(model, folder, on_step=None, config=SHORT)."""

    def run(model, folder: str, on_step=None, config: TrainingConfig = SHORT):
        options = {"config": config, "folder": tmp_path / folder, "stage": "Training", "on_step": on_step}
        return fine_tune(model, tiny_tokenizer, mood_task, mood_train, **options)

    return run


class Gradual:
    """Gradual magnitude pruning of a copy of a model, and a record of the masks after each step."""

    def __init__(self, dense, granularity: str, folder: Path, dies_at: int = -1) -> None:
        self.model = copy.deepcopy(dense)
        self.view = EncoderView(self.model)
        self.score = weight_magnitude if granularity == "weight" else unit_magnitude
        self.space = (weight_space if granularity == "weight" else unit_space)(self.view, RATIO)
        self.live: Masks = {key: torch.ones_like(score) for key, score in self.score(self.view).items()}
        self.keep = gradual_masks(self.model, self.masks_at, self.live, RATIO, folder)
        self.dies_at = dies_at
        self.history: dict[int, Masks] = {}

    def masks_at(self, ratio: float, masks: Masks) -> Masks:
        scores = {key: score * masks[key] for key, score in self.score(self.view).items()}
        return masks_of(self.space, self.space.at(ratio), scores)

    def on_step(self, step: int, total: int) -> None:
        self.keep(step, total)
        self.history[step] = {key: mask.clone() for key, mask in self.live.items()}
        if step == self.dies_at:
            raise Killed

    def run(self, train, folder: str):
        if self.score is weight_magnitude:
            return train(self.model, folder, self.on_step)
        with applied(self.model, self.live):
            return train(self.model, folder, self.on_step)


def zeros_kept(model, masks: Masks) -> bool:
    view = EncoderView(model)
    return all((view.matrices(layer)[kind][mask == 0] == 0).all() for (layer, kind), mask in masks.items())


def test_fixed_masks_keep_their_zeros(dense, train):
    model = copy.deepcopy(dense)
    space = weight_space(EncoderView(model), RATIO)
    masks = masks_of(space, space.uniform(), weight_magnitude(EncoderView(model)))
    make_permanent(model, masks)
    before = model.bert.encoder.layer[0].output.dense.weight.clone()
    train(model, "run", fixed_masks(model, masks), TrainingConfig(5e-3, epochs=1, max_steps=4))
    assert zeros_kept(model, masks)
    assert not torch.equal(model.bert.encoder.layer[0].output.dense.weight, before)
    free = copy.deepcopy(dense)
    make_permanent(free, masks)
    train(free, "free", None, TrainingConfig(5e-3, epochs=1, max_steps=4))
    assert not zeros_kept(free, masks)  # without the masks the zeros fill up: the check above can fail


def test_zeros_of_now_stay_without_naming_them(dense, train):
    model = copy.deepcopy(dense)
    space = weight_space(EncoderView(model), RATIO)
    masks = masks_of(space, space.uniform(), weight_magnitude(EncoderView(model)))
    make_permanent(model, masks)
    train(model, "run", fixed_zeros(model), TrainingConfig(5e-3, epochs=1, max_steps=4))
    view = EncoderView(model)
    assert all(
        torch.equal(view.matrices(layer)[kind] != 0, mask.bool()) for (layer, kind), mask in masks.items()
    )


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_gradual_masks_only_grow_and_end_at_the_ratio(dense, train, tmp_path, granularity):
    run = Gradual(dense, granularity, tmp_path / "masks")
    run.run(train, "run")
    ratios = {step: pruning_ratio(EncoderView(dense), masks) for step, masks in run.history.items()}
    assert list(ratios) == list(range(25))
    assert ratios[0] == 0.0
    assert 0.0 < ratios[3] < ratios[7] < RATIO
    assert ratios[12] == pytest.approx(RATIO, abs=0.005)  # the first half of the training
    for step in range(24):
        for key, mask in run.history[step].items():
            assert (run.history[step + 1][key] <= mask).all()
    assert all(torch.equal(mask, run.history[12][key]) for key, mask in run.live.items())
    if granularity == "weight":
        assert zeros_kept(run.model, run.live)


@pytest.mark.parametrize(
    ("step", "granularity"),
    [
        (7, "unit"),
        (19, "weight"),
        pytest.param(19, "unit", marks=pytest.mark.thorough),
        pytest.param(7, "weight", marks=pytest.mark.thorough),
    ],
)
def test_a_killed_gradual_training_ends_with_the_same_masks(dense, train, tmp_path, granularity, step):
    whole = Gradual(dense, granularity, tmp_path / "whole-masks")
    whole.run(train, "whole")
    killed = Gradual(dense, granularity, tmp_path / "masks", dies_at=step)
    with pytest.raises(Killed):
        killed.run(train, "killed")
    resumed = Gradual(dense, granularity, tmp_path / "masks")
    resumed.run(train, "killed")
    for later, masks in resumed.history.items():
        assert later >= step - 2
        assert all(torch.equal(mask, whole.history[later][key]) for key, mask in masks.items())
    for name, tensor in whole.model.state_dict().items():
        assert torch.allclose(resumed.model.state_dict()[name], tensor, atol=1e-5), name


def test_masks_are_refreshed_a_dozen_times(dense, tmp_path):
    run = Gradual(dense, "unit", tmp_path)
    for step in range(241):
        run.keep(step, 240)
    assert len(list(tmp_path.glob("*.safetensors"))) == REFRESHES


def test_masks_of_a_time_that_a_kill_undid_are_removed(dense, tmp_path):
    first = Gradual(dense, "unit", tmp_path)
    for step in range(13):
        first.keep(step, 24)
    (tmp_path / "00000012.safetensors").write_bytes(b"half-written")
    second = Gradual(dense, "unit", tmp_path)
    second.on_step(7, 24)
    assert not (tmp_path / "00000012.safetensors").exists()
    assert pruning_ratio(EncoderView(dense), second.live) > 0
    third = Gradual(dense, "unit", tmp_path)
    third.on_step(0, 24)
    assert list(tmp_path.glob("*.safetensors")) == []
    assert pruning_ratio(EncoderView(dense), third.live) == 0
