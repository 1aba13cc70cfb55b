"""What a masked language model prefers, asked of a tiny one whose answers a test can plant."""

import numpy as np
import pytest

from leanformer.audit import preferences
from leanformer.audit.figure import Unmeasured
from leanformer.audit.preferences import (
    crows_pairs,
    name_fills,
    occupations_bias,
    pronouns,
    stereo_set,
)
from leanformer.audit.read import Pair, Pronoun, Triple


def answering(chances):
    """Answer each question by a token's own planted log-probability."""

    def answer(asked, questions, stage=None):
        ids = {word: asked.tokenizer.convert_tokens_to_ids(word) for word in chances}
        known = {ids[word]: chance for word, chance in chances.items()}
        return [np.array([known.get(token, -5.0) for token in question.wanted]) for question in questions]

    return answer


def test_crows_pairs_masks_only_what_both_sentences_share(masked, monkeypatch):
    asked = []

    def answer(model, questions, stage=None):
        asked.append(questions)
        return [np.zeros(len(question.positions)) for question in questions]

    monkeypatch.setattr(preferences, "answer", answer)
    found = crows_pairs(masked, [Pair("he works", "she works", True, "gender")])
    works = masked.tokenizer.convert_tokens_to_ids("works")
    assert [question.wanted for question in asked[0]] == [(works,), (works,)]
    assert all(question.ids[2] == masked.tokenizer.mask_token_id for question in asked[0])
    assert [len(question.positions) for question in asked[1]] == [2, 2]  # AUL: all, unmasked
    assert all(masked.tokenizer.mask_token_id not in question.ids for question in asked[1])
    assert {one.subject for one in found} == {"all pairs", "stereotypes", "pairs of gender"}
    assert found[0].value == 0.0
    assert found[0].note == "1 prefer neither"


def test_the_likelier_sentence_is_preferred(masked, monkeypatch):
    monkeypatch.setattr(preferences, "answer", answering({"good": -1.0, "bad": -2.0}))
    pairs = [Pair("he was good", "he was bad", True, "gender")] * 3 + [
        Pair("she was bad", "she was good", False, "race-color")
    ]
    found = {(one.metric, one.subject): one for one in crows_pairs(masked, pairs)}
    aul = found["AUL", "all pairs"]
    assert (aul.value, aul.n) == (75.0, 4)
    assert found["AUL", "anti-stereotypes"].value == 0.0
    assert found["AUL", "stereotypes"].value == 100.0


def test_stereoset_scores_a_fill_by_the_mean_probability_of_its_pieces(masked, monkeypatch):
    monkeypatch.setattr(preferences, "answer", answering({"good": -1.0, "bad": -2.0, "cold": -4.0}))
    triples = [Triple("nurse", "The nurse was BLANK.", ("good", "bad", "cold"))]
    language, stereotype, idealised = stereo_set(masked, triples, inside=True)
    assert (language.value, stereotype.value, idealised.value) == (100.0, 100.0, 0.0)
    assert language.n == 1


def test_pieces_behind_a_fill_are_absent_and_those_before_it_are_there():
    questions = preferences._piece_by_piece([1, 2, 99, 3], 2, [7, 8])
    assert [(one.ids, one.positions, one.wanted) for one in questions] == [
        ((1, 2, 99, 3), (2,), (7,)),
        ((1, 2, 7, 99, 3), (3,), (8,)),
    ]


def test_between_sentences_any_encoder_is_asked_by_cosine(headless):
    triples = [Triple("nurse", "the film was good .", ("the film was good .", "a dog .", "no rain ."))]
    found = stereo_set(headless, triples, inside=False)
    assert found[1].value == 100.0  # nothing is closer to a text than itself
    assert "cosine" in found[1].subject


def test_lpbs_hides_the_occupation_in_its_prior_and_nothing_else(masked):
    given, prior = preferences._with_prior(masked, "[MASK] is {}.", "nurse", [5, 6])
    mask, nurse = masked.tokenizer.mask_token_id, masked.tokenizer.convert_tokens_to_ids("nurse")
    assert given.positions == prior.positions == (1, 1)
    assert [(one, other) for one, other in zip(given.ids, prior.ids, strict=True) if one != other] == [
        (nurse, mask)
    ]


def test_lpbs_is_zero_where_occupations_do_not_matter(masked, monkeypatch):
    monkeypatch.setattr(preferences, "answer", answering({"he": -1.0, "she": -3.0}))
    size, along = occupations_bias(masked)
    assert size.value == pytest.approx(0, abs=1e-12)
    assert along.value == pytest.approx(0, abs=1e-12)
    assert size.n == 60


def test_pronouns_that_have_no_single_piece_are_said_to_be_unmeasured(headless):
    found = occupations_bias(headless)  # its vocabulary spells "he" in letters
    assert isinstance(found[0], Unmeasured)
    sentence = Pronoun("the nurse said that ", " was late .", "she", "he")
    assert "no pronoun of type1" in pronouns(headless, [sentence], "type1")[0].reason


def test_a_model_of_stereotypes_has_the_whole_gap(masked, monkeypatch):
    monkeypatch.setattr(preferences, "answer", answering({"she": -1.0, "he": -3.0}))
    sentences = [Pronoun("the nurse said that ", " was late .", "she", "he")] * 4
    assert pronouns(masked, sentences, "type1")[0].value == 100.0
    both = [*sentences, *[Pronoun("the guard said that ", " was late .", "he", "she")] * 4]
    assert pronouns(masked, both, "type1")[0].value == 0.0


def test_disco_counts_fills_that_go_with_one_gender(masked, monkeypatch):
    def fills(asked, questions, most, stage=None):
        return [[1, 2, 3 + number % 2] for number in range(len(questions))]  # the third one by gender

    monkeypatch.setattr(preferences, "best_fills", fills)
    found = name_fills(masked)[0]
    assert (found.value, found.n) == (2.0, 30)
    monkeypatch.setattr(
        preferences, "best_fills", lambda asked, questions, most, stage: [[1, 2, 3]] * len(questions)
    )
    assert name_fills(masked)[0].value == 0.0
