"""Recipes follow from the size of the data and the width of the model."""

from __future__ import annotations

from functools import partial

import pytest

from leanformer.training.config import TrainingConfig

RECIPES = (TrainingConfig.for_teacher, partial(TrainingConfig.for_recovery, damage=0.5))


@pytest.mark.parametrize("recipe", RECIPES)
def test_small_data_is_seen_more_often(recipe):
    epochs = [recipe(rows).epochs for rows in (50, 2_500, 3_668, 10_000, 100_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert 2 <= epochs[-1] < epochs[0] <= 8


def test_soft_targets_need_no_dropout():
    assert TrainingConfig.for_teacher(1000).dropout
    assert not TrainingConfig.for_recovery(1000, 0.5).dropout


def test_narrow_models_take_larger_steps():
    assert TrainingConfig.for_teacher(1000, hidden_size=768).learning_rate == pytest.approx(3e-5)
    assert TrainingConfig.for_teacher(1000, hidden_size=384).learning_rate == pytest.approx(6e-5)


@pytest.mark.parametrize(
    ("damage", "times"),
    [(0.0, 0.5), (0.05, 0.5), (0.2, 1.2), (0.5, 3.0), (1.0, 6.0), (1.7, 10.0), (9.0, 10.0)],
)
def test_recovery_takes_steps_as_large_as_the_damage(damage, times):
    rate = TrainingConfig.for_recovery(1000, damage, hidden_size=768).learning_rate
    assert rate == pytest.approx(times * 3e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_quick_is_shorter_on_small_data_and_the_seed_is_kept(recipe):
    config = recipe(1000, quick=True, seed=7)
    assert config.epochs < recipe(1000).epochs
    assert config.seed == 7
    assert not config.train_embeddings
