from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from leanformer.errors import DataError
from leanformer.tasks.metrics import METRICS, divergence, metric_for, score, scores
from leanformer.tasks.places import Wanted
from leanformer.tasks.words import IGNORED


def draw(classes: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels]
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_classification_agrees_with_scikit_learn(classes, seed):
    logits, labels = draw(classes, 60, seed)
    answers = logits.argmax(axis=1)
    average = "binary" if classes == 2 else "macro"
    assert score("accuracy", logits, labels) == pytest.approx(accuracy_score(labels, answers))
    assert score("f1", logits, labels) == pytest.approx(f1_score(labels, answers, average=average))
    assert score("matthews", logits, labels) == pytest.approx(matthews_corrcoef(labels, answers))


def test_macro_f1_leaves_out_classes_that_do_not_occur():
    logits, labels = np.eye(4)[[0, 1, 1, 0]], np.array([0, 1, 0, 0])
    wanted = f1_score(labels, logits.argmax(axis=1), average="macro")
    assert score("f1", logits, labels) == pytest.approx(wanted)


def test_regression_agrees_with_scipy():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 6, 80).astype(float)  # with ties
    logits = (labels + generator.normal(size=80))[:, None].astype(np.float32)
    assert score("pearson", logits, labels) == pytest.approx(
        pearsonr(logits[:, 0], labels).statistic, abs=1e-6
    )
    assert score("spearman", logits, labels) == pytest.approx(spearmanr(logits[:, 0], labels).statistic)


def test_answers_that_never_change_score_zero():
    labels = np.array([0, 1, 0, 1])
    constant = np.tile([1.0, 0.0], (4, 1))
    assert score("matthews", constant, labels) == 0.0
    assert score("f1", constant, labels) == 0.0
    assert score("pearson", constant[:, :1], labels) == 0.0
    assert score("spearman", constant[:, :1], labels) == 0.0


@pytest.mark.parametrize("name", METRICS)
def test_perfect_answers_score_one(name):
    labels = np.array([0, 1, 1, 0, 1])
    logits = np.eye(2)[labels] if METRICS[name].needs == "classification" else labels[:, None].astype(float)
    if METRICS[name].needs == "embedding":  # the second text of a pair is as the first, or at a right angle
        logits = np.stack([np.eye(2)[np.ones_like(labels)], np.eye(2)[labels]], axis=1).reshape(-1, 2)
        labels = labels.repeat(2)
    if METRICS[name].needs == "token-classification":
        labels = np.array([[0, 1, 2, 0, 1], [1, 0, 0, IGNORED, IGNORED]])
        logits = np.eye(3)[np.maximum(labels, 0)]
    if METRICS[name].needs == "question-answering":
        labels = np.empty(2, dtype=object)
        labels[:] = [Wanted(row, "a dog sat", np.array([[0, 1], [2, 5], [6, 9]]), ("sat",)) for row in (1, 2)]
        logits = np.eye(3)[[[2, 2]] * 2].transpose(0, 2, 1)  # (strides, tokens, 2)
    assert score(name, logits, labels) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "kind"), [("f1", "regression"), ("pearson", "classification"), ("bleu", "regression")]
)
def test_metric_that_does_not_fit(name, kind):
    with pytest.raises(DataError, match=f"'{name}'.*--metric"):
        metric_for(name, kind)


def test_equal_answers_do_not_diverge():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    assert divergence(logits, logits) == pytest.approx(0.0, abs=1e-12)
    assert divergence(logits, logits + 7.0) == pytest.approx(0.0, abs=1e-12)  # a softmax hears no shift
    assert divergence(logits[:, :1], logits[:, :1]) == 0.0


def test_divergence_is_the_kl_from_the_dense_answers():
    dense, pruned = np.log([[0.5, 0.5], [0.9, 0.1]]), np.log([[0.8, 0.2], [0.9, 0.1]])
    by_hand = (0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)) / 2
    assert divergence(dense, pruned) == pytest.approx(by_hand)
    assert divergence(pruned, dense) != pytest.approx(by_hand)  # the direction matters


def test_divergence_of_scores_is_free_of_their_scale():
    dense, pruned = np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])
    assert divergence(dense, pruned) == pytest.approx(0.5)  # mean square 1/2 over variance 1
    assert divergence(10 * dense, 10 * pruned) == pytest.approx(0.5)
    assert divergence(dense, np.full_like(dense, 2.0)) == pytest.approx(1.0)  # knows the mean only


def test_scores_of_draws_are_those_of_the_rows_drawn():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(30, 3)), generator.integers(0, 3, 30)
    draws = [generator.integers(0, 30, 30) for _ in range(4)]
    found = scores("f1", logits, labels, draws)
    assert found.tolist() == [score("f1", logits[draw], labels[draw]) for draw in draws]


def test_a_draw_of_tagged_rows_is_a_draw_of_whole_sentences():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(20, 6, 5)), generator.integers(0, 5, (20, 6))
    labels[::3, 4:] = IGNORED
    draws = [generator.integers(0, 20, 20) for _ in range(4)]
    for metric in ("span-f1", "span-precision", "span-recall", "token-accuracy"):
        found = scores(metric, logits, labels, draws)
        assert len(set(found)) > 1
        assert found.tolist() == [score(metric, logits[draw], labels[draw]) for draw in draws]


def test_divergence_of_words_is_the_mean_over_words_and_not_over_padding():
    generator = np.random.default_rng(0)
    dense, other = generator.normal(size=(2, 2, 3, 4))
    padding = np.array([[False, False, True], [False, True, True]])
    dense[padding], other[padding] = np.nan, np.nan
    assert divergence(dense, other) == pytest.approx(divergence(dense[~padding], other[~padding]))
    assert divergence(dense, dense) == 0.0
    other[0, 0] = np.nan  # a damaged candidate
    assert np.isnan(divergence(dense, other))
