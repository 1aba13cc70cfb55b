"""Pairs with a score become texts that are answered alone; scores, draws and slices are of whole pairs."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from leanformer.errors import DataError, ModelError
from leanformer.measure.flips import cosine_changes, flips
from leanformer.measure.statistics import paired_drop
from leanformer.tasks.encode import encode
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import divergence, pair_cosines, per_example, score
from leanformer.tasks.predict import predict, score_logits
from leanformer.tasks.split import few_rows, hold_out, split_held_out
from leanformer.tasks.task import Task
from tiny import MAX_TOKENS, similar_pairs, write_csv

ALIKE = Task("alike", "embedding", True, (), "spearman_cosine", ("pearson_cosine",))
HEADER = ("sentence1", "sentence2", "score")


@pytest.fixture
def pairs(tmp_path):
    folder = tmp_path / "alike"
    folder.mkdir()
    write_csv(folder / "train.csv", HEADER, similar_pairs(80, seed=1))
    write_csv(folder / "validation.csv", HEADER, similar_pairs(30, seed=2))
    return folder


def drawn(pairs, hidden=6, seed=0):
    return np.random.default_rng(seed).normal(size=(2 * pairs, hidden)).astype(np.float32)


def test_a_pair_is_two_rows(pairs):
    data = load_data(DataSpec(str(pairs), kind="embedding"))
    assert data.task == ALIKE
    assert data.train.column_names == ["text", "label", "row"]
    assert len(data.train) == 160
    first = similar_pairs(80, seed=1)[3]
    assert data.train["text"][6:8] == list(first[:2])
    assert data.train["label"][6:8] == [3.5, 3.5]
    assert data.train["row"][6:8] == [5, 5]
    assert "embedding of text pairs" in data.description
    assert "train 80, validation 30" in data.description


def test_rows_are_counted_in_pairs(pairs, tmp_path):
    few = load_data(DataSpec(str(pairs), kind="embedding", train_rows=25))
    assert len(few.train) == 50
    alone = write_csv(tmp_path / "alone.csv", HEADER, similar_pairs(60, seed=1))
    data = load_data(DataSpec(str(alone), kind="embedding"))
    assert (len(data.train), len(data.validation)) == (108, 12)
    assert data.validation["row"][::2] == data.validation["row"][1::2]
    short = write_csv(tmp_path / "short.csv", HEADER, similar_pairs(19, seed=1))
    with pytest.raises(DataError, match="has 19 rows, too few"):
        load_data(DataSpec(str(short), kind="embedding"))


def test_the_official_layout_is_read_as_either_kind(tmp_path):
    folder = tmp_path / "STS-B"
    folder.mkdir()
    for name, rows in (("train.tsv", 30), ("dev.tsv", 24)):
        lines = ["\t".join(row) for row in (HEADER, *similar_pairs(rows, seed=1))]
        (folder / name).write_text("\n".join(lines) + "\n")
    assert load_data(DataSpec(str(folder))).task.kind == "regression"
    data = load_data(DataSpec(str(folder), kind="embedding"))
    assert (data.task.kind, data.task.metric, len(data.validation)) == ("embedding", "spearman_cosine", 48)


def test_texts_without_a_partner_are_refused(tiny_task):
    with pytest.raises(DataError, match="one text a row: name the column of the other with --text-pair"):
        load_data(DataSpec(str(tiny_task), kind="embedding"))


def test_a_slice_holds_whole_pairs(pairs, tiny_tokenizer):
    data = load_data(DataSpec(str(pairs), kind="embedding"))
    train, validation = (
        encode(rows, tiny_tokenizer, MAX_TOKENS, False) for rows in (data.train, data.validation)
    )
    splits = [
        hold_out(train, ALIKE, 31, seed=3),
        split_held_out(train, validation, ALIKE, seed=0),
        (train, few_rows(train, ALIKE, 40, 0)),
    ]
    for _, held in splits:
        assert held["row"][::2] == held["row"][1::2]
        assert len(set(held["row"][:])) == len(held) // 2
    assert [len(held) for _, held in splits] == [30, 16, 40]
    rest, held = splits[0]
    assert sorted(rest["row"][:] + held["row"][:]) == train["row"][:]


def test_scores_are_correlations_of_cosines():
    vectors = drawn(40)
    wanted = np.random.default_rng(1).uniform(0, 5, 40)
    labels = wanted.repeat(2)
    one, other = vectors[::2], vectors[1::2]
    cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(pair_cosines(vectors), cosines, atol=1e-6)
    assert score("spearman_cosine", vectors, labels) == pytest.approx(spearmanr(cosines, wanted).statistic)
    assert score("pearson_cosine", vectors, labels) == pytest.approx(pearsonr(cosines, wanted).statistic)
    scaled = vectors * np.random.default_rng(2).uniform(0.1, 9, (80, 1))
    assert score("spearman_cosine", scaled, labels) == pytest.approx(
        score("spearman_cosine", vectors, labels)
    )
    found = score_logits(vectors, labels, ALIKE)
    assert found.n == 40
    assert found.low < found.value < found.high
    assert found.extra == {"pearson_cosine": pytest.approx(pearsonr(cosines, wanted).statistic)}


def test_a_vector_of_zeros_is_like_nothing():
    assert pair_cosines(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 0.0]])).tolist() == [0.0, 1.0]


def test_whole_pairs_are_drawn():
    """Were rows drawn, texts would be compared with strangers, and the gain of a perfect model would be lost."""
    wanted = np.linspace(0, 1, 50)
    angles = np.stack([np.zeros(50), np.arccos(wanted)], axis=1).ravel()
    perfect = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    drop, low, high = paired_drop("spearman_cosine", perfect, drawn(50, 2), wanted.repeat(2), seed=0)
    assert 40 < low <= drop <= high
    assert paired_drop("spearman_cosine", perfect, perfect, wanted.repeat(2), seed=0) == (0, 0, 0)
    answers, labels = per_example("spearman_cosine", perfect, wanted.repeat(2))
    assert answers.shape == (50, 1)
    np.testing.assert_allclose(answers[:, 0], labels, atol=1e-12)


def test_divergence_of_vectors_is_one_minus_cosine():
    dense = np.array([[2.0, 0.0], [0.0, 1.0]])
    lean = np.array([[1.0, 1.0], [0.0, 5.0]])
    assert divergence(dense, lean, "embedding") == pytest.approx((1 - 0.5**0.5) / 2)
    assert divergence(dense, 3 * dense, "embedding") == pytest.approx(0)


def test_the_pairs_that_moved_most_are_shown(pairs):
    rows = load_data(DataSpec(str(pairs), kind="embedding")).validation.select(range(6))
    dense = np.array([[1.0, 0.0]] * 6)
    lean = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [1, 0], [1, 1]])
    found = flips(dense, lean, rows, ALIKE)
    assert [(flip.row, flip.dense_answer) for flip in found] == [(3, 1.0), (4, 1.0)]
    assert [flip.lean_answer for flip in found] == [0.0, pytest.approx(0.5**0.5)]
    assert (found[0].text, found[0].text_pair, found[0].label) == (*similar_pairs(30, seed=2)[1][:2], 1.5)
    moved = cosine_changes(dense, lean)
    assert moved["mean"] == pytest.approx((1 + 1 - 0.5**0.5) / 3)
    assert moved["mean"] < moved["p95"] < 1


def test_an_encoder_is_loaded_with_the_mean_of_its_tokens(tiny_model_folder, pairs, tiny_tokenizer):
    data = load_data(DataSpec(str(pairs), kind="embedding"))
    model, tokenizer, is_ready = load_model(str(tiny_model_folder), data.task, finetune=False)
    assert is_ready
    assert model.config.sentence_pooling["mode"] == "mean"
    rows = encode(data.validation, tokenizer, MAX_TOKENS, truncate=False)
    assert predict(model, rows, tokenizer).shape == (60, 32)
    with pytest.raises(ModelError, match="leave --finetune out"):
        load_model(str(tiny_model_folder), data.task, finetune=True)
