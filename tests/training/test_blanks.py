"""Blanks of a masked language model: as many as asked, the same ones every time, and none where none may be."""

import pytest
from transformers import BertTokenizerFast

from leanformer.training.blanks import MASKED, blank_rows
from tiny import PLAIN_WORDS

TEXTS = [" ".join(PLAIN_WORDS[start : start + 20]) for start in range(0, 18)] * 20


@pytest.fixture
def tokenizer(tiny_tokenizer) -> BertTokenizerFast:
    return tiny_tokenizer


def filled(rows):
    return list(zip(rows["input_ids"][:], rows["starts"][:], rows["label"][:], strict=True))


def test_blanks_are_drawn_by_the_seed(tokenizer):
    first, again, other = (blank_rows(TEXTS, tokenizer, 40, seed) for seed in (0, 0, 1))
    assert filled(first) == filled(again)
    assert filled(first) != filled(other)


def test_what_stood_there_is_the_label_and_most_of_it_is_masked(tokenizer):
    rows = blank_rows(TEXTS, tokenizer, 40, 0)
    plain = tokenizer(TEXTS, truncation=True, max_length=40)["input_ids"]
    masked = kept = asked = 0
    for tokens, (ids, places, labels) in zip(plain, filled(rows), strict=True):
        places = [place for place in places if place >= 0]
        assert len(places) == round(MASKED * (len(tokens) - 2))
        assert [tokens[place] for place in places] == labels[: len(places)]
        assert not {0, len(tokens) - 1} & set(places)  # no special token is asked for
        assert all(ids[place] == token for place, token in enumerate(tokens) if place not in places)
        asked += len(places)
        masked += sum(ids[place] == tokenizer.mask_token_id for place in places)
        kept += sum(ids[place] == tokens[place] for place in places)
    assert 0.75 < masked / asked < 0.85
    assert 0.05 < kept / asked < 0.15


def test_words_that_are_not_to_be_asked_have_no_label(tokenizer):
    film = tokenizer.convert_tokens_to_ids("film")
    asked, free = (blank_rows(TEXTS, tokenizer, 40, 0, words) for words in ((), {film}))
    count = sum(label.count(film) for label in asked["label"][:])
    assert count > 0
    assert sum(label.count(film) for label in free["label"][:]) == 0
    assert [ids for ids, _, _ in filled(asked)] == [ids for ids, _, _ in filled(free)]


def test_short_texts_are_left_out_and_long_ones_cut(tokenizer):
    rows = blank_rows(["a film", TEXTS[0]], tokenizer, 12, 0)
    assert [len(ids) for ids in rows["input_ids"][:]] == [12]
