"""The dial, on answers made by hand; and its agreement with what the model itself does."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from leanformer.dynamic.dial import Heard, curve, most_changed, setting_that_agrees, setting_that_saves
from leanformer.encoders.carried_exits import Leaving

LAYERS = (1, 2, 3, 4)


def logits_of(probabilities):
    """(exits, rows) of P(class 1) as logits."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.log(np.stack([1 - p, p], axis=-1)).astype(np.float32)


@pytest.fixture
def heard():
    return Heard(
        "entropy",
        logits_of([[0.99, 0.6, 0.5], [0.99, 0.95, 0.4], [0.99, 0.95, 0.3], [0.9, 0.1, 0.2]]),
        None,
        LAYERS,
    )


def test_a_row_leaves_at_the_first_sure_exit(heard):
    assert heard.leaves_at(0.5).tolist() == [0, 1, 3]
    assert heard.leaves_at(0.0).tolist() == [3, 3, 3]
    assert heard.leaves_at(1.0).tolist() == [0, 0, 1]  # one half is as unsure as can be
    assert heard.saved(0.5) == pytest.approx(1 - (1 + 2 + 4) / 12)
    assert heard.changed(0.5) == 1
    np.testing.assert_allclose(heard.answers(0.5)[1], heard.logits[1, 1])


@pytest.mark.parametrize("policy", ["entropy", "patience", "learned"])
@pytest.mark.parametrize("labels", [1, 3])
def test_arrays_and_model_agree(policy, labels):
    """`Leaving` decides while the layers run; `Heard` foretells it from all answers."""
    if policy == "entropy" and labels == 1:
        return  # a value has no entropy
    generator = np.random.default_rng(0)
    answers = generator.standard_normal((4, 50, labels)).astype(np.float32) * 0.1 ** (labels == 1)
    wrong = generator.uniform(size=(3, 50)).astype(np.float32)
    found = Heard(policy, answers, wrong, LAYERS)
    for threshold in found.thresholds()[:: 1 if policy == "patience" else 9]:
        leaving = Leaving(policy, threshold)
        leaving.begin(torch.zeros(50, 1, 1), 4)
        for number in range(3):
            rows = leaving.rows
            leaving.stay(
                torch.from_numpy(answers[number])[rows], torch.from_numpy(wrong[number])[rows], number + 1
            )
        merged = leaving.merged(torch.from_numpy(answers[3])[leaving.rows])
        np.testing.assert_array_equal(merged.numpy(), found.answers(threshold))
        assert leaving.layers.tolist() == [LAYERS[exit_] for exit_ in found.leaves_at(threshold)]


def test_settings_grow_bolder(heard):
    saved = [heard.saved(threshold) for threshold in heard.thresholds()]
    assert saved == sorted(saved)
    threshold = setting_that_saves(heard, 0.4)
    assert heard.saved(threshold) >= 0.4 > heard.saved(threshold - 0.01)
    assert setting_that_saves(heard, 0.9) is None
    rows = curve(heard, heard.thresholds(), [0.5] * len(saved))
    assert [row["saved"] for row in rows] == sorted({row["saved"] for row in rows})
    assert all(row["score"] == 0.5 for row in rows)
    assert all("score" not in row for row in curve(heard, heard.thresholds()))


def test_the_interval_is_the_binomials_own():
    for changed, rows in ((0, 50), (3, 200), (40, 41)):
        share = most_changed(changed, rows, 0.95)
        assert binom.cdf(changed, rows, share) == pytest.approx(0.05)
    assert most_changed(5, 5, 0.95) == 1.0


def test_agreement_holds_as_often_as_promised():
    """Over many draws of held-out rows the true share of changed answers is above the bound in 5% of them at most."""
    generator = np.random.default_rng(0)
    grid = np.arange(101) / 100
    broken = passed = 0
    for _ in range(300):
        sure = generator.uniform(size=400)  # an exit's certainty, and its mistakes: rarer where it is sure
        mistaken = generator.uniform(size=400) < 0.3 * sure
        first = np.where(mistaken, 0.0, 1.0)
        answers = np.stack([np.stack([1 - first, first], axis=-1), np.tile([0.0, 1.0], (400, 1))])
        found = Heard("learned", answers.astype(np.float32), sure[None].astype(np.float32), (1, 2))
        threshold = setting_that_agrees(found, 0.95, 0.95)
        if threshold is None:
            continue
        passed += 1
        true_risk = 0.15 * threshold**2  # integral of 0.3 s over s below the threshold
        broken += true_risk > 0.05
    assert passed > 250
    assert broken / passed <= 0.05
    assert len(grid) == 101


def test_what_can_not_be_shown_is_not_promised(heard):
    assert setting_that_agrees(heard, 0.99, 0.95) is None
