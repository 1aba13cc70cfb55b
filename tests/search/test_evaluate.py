"""The judge: five fidelities, each candidate measured once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from leanformer.search.evaluate import (
    RECALIBRATED,
    RECONSTRUCTION,
    REPAIRED,
    REPAIRED_IN_SEQUENCE,
    REPAIRS,
    SHORT_TRAINING,
    ZERO_SHOT,
)
from leanformer.search.realise import Realiser
from leanformer.structure.masks import applied
from leanformer.tasks.predict import predict


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_zero_shot_is_the_divergence_of_the_masked_model(
    make_judge, tmp_path, tiny_tokenizer, granularity, monkeypatch
):
    monkeypatch.setattr("leanformer.training.teacher.has_fast_bfloat16", lambda: False)
    judge = make_judge(tmp_path / "journal.log", granularity)
    candidate = judge.realiser.space.random(np.random.default_rng(0))
    measured = judge.measure(candidate, ZERO_SHOT, 32)
    rows = judge.held_out.select(range(32))
    wanted = predict(judge.realiser.dense, rows, tiny_tokenizer)
    with applied(judge.realiser.dense, judge.realiser.masks(candidate)):
        given = predict(judge.realiser.dense, rows, tiny_tokenizer)
    expected = log_softmax(wanted, 1), log_softmax(given, 1)
    kl = (np.exp(expected[0]) * (expected[0] - expected[1])).sum(1).mean()
    assert measured == pytest.approx(kl, rel=1e-3)
    assert measured > 1e-5


def nudge(model) -> None:
    with torch.no_grad():
        model.classifier.bias.add_(torch.tensor([0.0, 3.0]))


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_all_fidelities_measure(make_judge, tmp_path, granularity):
    judge = make_judge(tmp_path / "journal.log", granularity, ratio=0.6)
    judge.short_training = nudge
    candidate = judge.realiser.space.uniform()
    values = {fidelity: judge.measure(candidate, fidelity, 48) for fidelity in REPAIRS}
    assert all(np.isfinite(value) and value >= 0 for value in values.values())
    assert len(set(values.values())) == len(REPAIRS)
    assert values[REPAIRED] < values[ZERO_SHOT]
    assert values[REPAIRED_IN_SEQUENCE] < values[ZERO_SHOT]
    assert values[RECALIBRATED] < values[ZERO_SHOT]
    assert values[SHORT_TRAINING] > values[REPAIRED_IN_SEQUENCE]  # this training did harm: it was run


def test_what_the_journal_knows_is_not_measured_again(make_judge, tmp_path, monkeypatch):
    path = tmp_path / "journal.log"
    judge = make_judge(path)
    candidate = judge.realiser.space.uniform()
    values = [judge.measure(candidate, fidelity, 24) for fidelity in (ZERO_SHOT, REPAIRED)]

    def refuse(*args, **kwargs):
        raise AssertionError("a model was built")

    monkeypatch.setattr(Realiser, "build", refuse)
    assert judge.measure(candidate, ZERO_SHOT, 24) == values[0]
    again = make_judge(path)
    assert [again.measure(candidate, fidelity, 24) for fidelity in (ZERO_SHOT, REPAIRED)] == values
    with pytest.raises(AssertionError, match="a model was built"):
        again.measure(candidate, ZERO_SHOT, 48)


def test_more_rows_than_there_are_means_all(make_judge, tmp_path, monkeypatch):
    judge = make_judge(tmp_path / "journal.log")
    candidate = judge.realiser.space.uniform()
    value = judge.measure(candidate, ZERO_SHOT, 48)
    monkeypatch.setattr(Realiser, "build", None)
    assert judge.measure(candidate, ZERO_SHOT, 10_000) == value


def test_an_unknown_fidelity_or_a_missing_training_is_an_error(make_judge, tmp_path):
    judge = make_judge(tmp_path / "journal.log")
    candidate = judge.realiser.space.uniform()
    with pytest.raises(ValueError, match="'guess' is not one of reconstruction, zero-shot"):
        judge.measure(candidate, "guess", 8)
    with pytest.raises(ValueError, match="no short training"):
        judge.measure(candidate, SHORT_TRAINING, 8)
    with pytest.raises(ValueError, match="no errors of the groups"):
        judge.measure(candidate, RECONSTRUCTION, 0)
    assert not judge.journal.known


def test_reconstruction_adds_the_errors_of_the_levels(make_judge, tmp_path, monkeypatch):
    judge = make_judge(tmp_path / "journal.log")
    groups = judge.realiser.space.groups
    judge.level_errors = [np.arange(group.levels, -1, -1) * 10.0**place for place, group in enumerate(groups)]
    monkeypatch.setattr(Realiser, "build", None)  # no model is needed
    candidate = judge.realiser.space.uniform()
    lost = [group.levels - level for group, level in zip(groups, candidate, strict=True)]
    assert judge.measure(candidate, RECONSTRUCTION, 0) == sum(n * 10.0**place for place, n in enumerate(lost))
