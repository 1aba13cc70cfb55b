"""Recipes follow from the size of the data and the width of the model."""

from __future__ import annotations

import pytest

from leanformer.training.config import TrainingConfig


@pytest.mark.parametrize(("rows", "epochs"), [(50, 5), (2_500, 4), (3_668, 3), (100_000, 3)])
def test_teachers_see_small_data_more_often(rows, epochs):
    assert TrainingConfig.for_teacher(rows).epochs == epochs


@pytest.mark.parametrize(("rows", "epochs"), [(50, 8), (3_668, 5), (10_000, 3), (100_000, 3)])
def test_recovery_sees_small_data_more_often(rows, epochs):
    assert TrainingConfig.for_recovery(rows).epochs == epochs


def test_narrow_models_and_recovery_take_larger_steps():
    assert TrainingConfig.for_teacher(1000, hidden_size=768).learning_rate == pytest.approx(3e-5)
    assert TrainingConfig.for_teacher(1000, hidden_size=384).learning_rate == pytest.approx(6e-5)
    assert TrainingConfig.for_recovery(1000, hidden_size=768).learning_rate == pytest.approx(1.2e-4)


@pytest.mark.parametrize("recipe", [TrainingConfig.for_teacher, TrainingConfig.for_recovery])
def test_quick_is_one_epoch_and_the_seed_is_kept(recipe):
    config = recipe(1000, quick=True, seed=7)
    assert (config.epochs, config.seed) == (1, 7)
    assert not config.train_embeddings
