"""Vectors are means over a text's own tokens: of all, or of one word's pieces."""

import numpy as np
import pytest
import torch

from leanformer.audit.vectors import overlapping, pieces_within, sentence_vectors, token_offsets, word_vectors


def states(asked, text):
    inputs = asked.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        return asked.model.base_model(**inputs).last_hidden_state[0].numpy()


def test_a_sentence_is_the_mean_of_its_tokens_whatever_its_neighbours(masked):
    texts = ["he works", "she was a nurse in the city with a dog"]
    found = sentence_vectors(masked, texts)
    for vector, text in zip(found, texts, strict=True):
        assert vector == pytest.approx(states(masked, text).mean(axis=0), abs=1e-5)


def test_a_word_is_the_mean_of_its_pieces(masked):
    text = "the plumber works"  # spelt letter by letter
    pieces = pieces_within(masked, [text], [(4, 11)])[0]
    assert (
        "".join(
            masked.tokenizer.convert_ids_to_tokens(masked.tokenizer(text)["input_ids"])[p].strip("#")
            for p in pieces
        )
        == "plumber"
    )
    found = word_vectors(masked, [text], [(4, 11)])[0]
    assert found == pytest.approx(states(masked, text)[pieces].mean(axis=0), abs=1e-5)


def test_a_word_behind_the_longest_input_has_no_vector(masked):
    text = "the dog " * 60 + "nurse"
    assert np.isnan(word_vectors(masked, [text], [(len(text) - 5, len(text))])).all()


def test_only_tokens_that_share_a_character_count(masked):
    assert overlapping([(0, 0), (0, 3), (3, 6), (7, 9), (0, 0)], (3, 7)) == [2]
    assert token_offsets(masked, ["he works"])[0] == [(0, 0), (0, 2), (3, 8), (0, 0)]
