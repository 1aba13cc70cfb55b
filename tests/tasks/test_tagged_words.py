"""Words and tokens: which token answers for a word, and what happens to words that no token stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from leanformer.errors import DataError, ModelError
from leanformer.tasks.encode import batches, encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.predict import evaluate, predict, score_logits
from leanformer.tasks.words import IGNORED, UNSEEN, token_labels
from tiny import MAX_TOKENS, TINY_FAMILIES, build_tagger


def sentences(*texts):
    words = [text.split() for text in texts]
    width = max(map(len, words))
    labels = [[1] * len(row) + [IGNORED] * (width - len(row)) for row in words]
    columns = {"text": texts, "words": words, "label": labels, "row": range(1, len(texts) + 1)}
    return Dataset.from_dict(columns)


@pytest.fixture
def encoded(tagged, tiny_tokenizer):
    return encode(load_data(DataSpec(str(tagged))).validation, tiny_tokenizer, MAX_TOKENS, truncate=False)


def test_a_word_starts_at_its_first_token(tiny_tokenizer):
    rows = encode(sentences("goodly film", "a zq film"), tiny_tokenizer, MAX_TOKENS, truncate=False)
    # [CLS] good ##ly film [SEP], and [CLS] a z ##q film [SEP]
    assert rows["starts"][:] == [[1, 3, IGNORED], [1, 2, 4]]


def test_words_behind_the_limit_and_words_without_a_token_are_not_seen(tiny_tokenizer):
    long, odd = encode(sentences("a film a film", "a \u200d film"), tiny_tokenizer, 4, truncate=True)[
        "starts"
    ][:]
    assert long == [1, 2, UNSEEN, UNSEEN]
    assert odd == [1, UNSEEN, 2, IGNORED]


def test_a_tokenizer_that_pads_on_the_left_is_refused(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(tiny_tokenizer, "padding_side", "left")
    with pytest.raises(ModelError, match="pads on the left"):
        encode(sentences("a film"), tiny_tokenizer, MAX_TOKENS, truncate=False)


def test_longer_sentences_are_refused_unless_they_may_be_cut(tiny_tokenizer):
    with pytest.raises(DataError, match="--truncate"):
        encode(sentences("a film a film"), tiny_tokenizer, 4, truncate=False)


def test_labels_lie_at_first_tokens_and_nowhere_else(tiny_tokenizer):
    rows = encode(sentences("goodly film", "a zq film"), tiny_tokenizer, MAX_TOKENS, truncate=False)
    found = {tuple(order): batch["labels"] for order, batch in batches(rows, tiny_tokenizer)}
    (labels,) = found.values()
    order = next(iter(found))
    wanted = {0: [IGNORED, 1, IGNORED, 1, IGNORED, IGNORED], 1: [IGNORED, 1, 1, IGNORED, 1, IGNORED]}
    assert labels.tolist() == [wanted[row] for row in order]
    assert labels.dtype == torch.int64
    assert token_labels([[2, 0, 1]], [[1, UNSEEN, 2]], 4).tolist() == [[IGNORED, 2, 1, IGNORED]]


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_answers_are_those_of_first_tokens_in_the_order_of_the_data(family, encoded, tiny_tokenizer):
    model = build_tagger(family)
    logits = predict(model, encoded, tiny_tokenizer, batch_size=7)
    labels = np.asarray(encoded["label"][:])
    assert logits.shape == (*labels.shape, 5)
    np.testing.assert_array_equal(np.isnan(logits).all(axis=-1), labels == IGNORED)
    for index in (0, 17, 39):
        words = encoded[index]["words"]
        batch = tiny_tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            alone = model(**batch).logits[0].numpy()
        firsts = [batch.word_ids(0).index(number) for number in range(len(words))]
        np.testing.assert_allclose(logits[index, : len(words)], alone[firsts], atol=1e-5)


def test_a_part_of_the_rows_has_the_same_answers_in_the_same_shape(encoded, tiny_tokenizer):
    model = build_tagger("bert")
    whole = predict(model, encoded, tiny_tokenizer)
    np.testing.assert_allclose(predict(model, encoded.select(range(5)), tiny_tokenizer), whole[:5], atol=1e-5)


def test_the_first_rows_keep_the_width_of_all(tagged, tiny_tokenizer):
    rows = load_data(DataSpec(str(tagged), train_rows=3)).train
    logits = predict(build_tagger("bert"), encode(rows, tiny_tokenizer, MAX_TOKENS, False), tiny_tokenizer)
    assert logits.shape[:2] == np.asarray(rows["label"][:]).shape
    assert np.isnan(logits[:, -1]).all()


def test_words_that_are_not_seen_are_answered_outside(tagged, tiny_tokenizer):
    data = load_data(DataSpec(str(tagged)))
    cut = encode(data.validation, tiny_tokenizer, 3, truncate=True)  # one word a sentence is left
    model = build_tagger("bert")
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(
            torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0])
        )  # every word that it sees is a span
    answers = predict(model, cut, tiny_tokenizer).argmax(axis=-1)
    assert (answers[:, 0] == 1).all()
    assert (answers[:, 1:] == 0).all()
    labels = np.asarray(cut["label"][:])
    assert (labels[:, 1:] > 0).any()  # they are asked all the same
    result = evaluate(model, tiny_tokenizer, cut, data.task)
    asked = (np.where(labels > 0, labels, 0) % 2).sum()
    single = (labels[:, 0] == 1) & (labels[:, 1] != 2)
    assert result.extra["span-recall"] == pytest.approx(single.sum() / asked)


def test_the_interval_is_over_sentences_and_broken_answers_have_no_score(tagged, encoded, tiny_tokenizer):
    task, labels = load_data(DataSpec(str(tagged))).task, np.asarray(encoded["label"][:])
    logits = np.eye(5, dtype=np.float32)[np.maximum(labels, 0)]
    logits[::2] = np.eye(5)[0]  # every other sentence has no answer
    logits[labels == IGNORED] = np.nan
    result = score_logits(logits, labels, task)
    assert result.n == 40
    assert result.low < result.value < result.high
    assert result.extra["span-precision"] == 1.0
    logits[3, 0, 0] = np.inf
    with pytest.raises(ModelError, match="1 of 40 rows"):
        score_logits(logits, labels, task)
