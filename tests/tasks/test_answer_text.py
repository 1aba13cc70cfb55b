"""Exact match and F1 of words, worked out by hand after SQuAD's script: lower case, no punctuation, no articles."""

import pytest

from leanformer.tasks.answer_text import best_likeness, exact_match, plain_words, word_f1

CASES = [
    # given, wanted, exact match, F1
    ("The Denver Broncos!", "denver broncos", 1, 1.0),
    ("Denver Broncos team", "the Denver Broncos", 0, 2 * (2 / 3) * 1 / (2 / 3 + 1)),
    ("Broncos", "Denver Broncos", 0, 2 * 1 * 0.5 / 1.5),
    ("state-of-the-art", "stateoftheart", 1, 1.0),  # punctuation goes first, so that no article is left
    ("state of the art", "state-of-the-art", 0, 0.0),
    ("theatre", "atre", 0, 0.0),  # an article is a whole word
    ("1990–91", "1990-91", 0, 0.0),  # only ASCII's punctuation is punctuation
    ("a b b c", "b b b", 0, 2 * (2 / 3) * (2 / 3) / (4 / 3)),  # a word counts as often as both have it
    ("$1.5 million", "1.5  million.", 1, 1.0),
    ("the", "a", 1, 0.0),  # nothing is left of either: the script says equal, but shares no word
    ("", "word", 0, 0.0),
    ("the\u00a0Tower", "Tower", 1, 1.0),  # a blank that does not break is one
]


@pytest.mark.parametrize(("given", "wanted", "exact", "f1"), CASES)
def test_cases_by_hand(given, wanted, exact, f1):
    assert exact_match(given, wanted) == exact
    assert word_f1(given, wanted) == pytest.approx(f1)


def test_the_order_of_words_matters_to_exact_match_alone():
    assert plain_words("Rome, Paris") == ["rome", "paris"]
    assert exact_match("Rome Paris", "Paris Rome") == 0
    assert word_f1("Rome Paris", "Paris Rome") == 1


def test_of_several_answers_the_best_counts():
    answers = ("in the year 1066", "1066", "year")
    assert best_likeness(exact_match, "The 1066", answers) == 1
    assert best_likeness(word_f1, "year 1066", answers) == pytest.approx(
        2 * 1 * (2 / 3) / (5 / 3)
    )  # the first
