"""The project's own word lists."""

from itertools import chain

from leanformer.audit.twins import gendered_words
from leanformer.audit.words import FEMALE_HELD, MALE_HELD, OCCUPATIONS, TESTS, with_article


def test_tests_have_as_many_first_as_second_targets_and_no_word_twice():
    for test in TESTS:
        assert len(test.targets[0]) == len(test.targets[1])
        words = [*chain(*test.targets), *chain(*test.attributes)]
        assert len(words) == len(set(words))


def test_occupations_have_no_gender_of_their_own():
    assert not set(MALE_HELD) & set(FEMALE_HELD)
    assert not [word for word in OCCUPATIONS if gendered_words(word)]


def test_articles():
    assert [with_article(word) for word in ("engineer", "nurse", "poetry", "Mary", "he")] == [
        "an engineer",
        "a nurse",
        "poetry",
        "Mary",
        "he",
    ]
