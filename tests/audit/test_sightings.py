"""Sentences with a gender word beside an occupation, and their twins, in a text that is read as it comes."""

from leanformer.audit.sightings import MOST_WORDS, contexts, sentences, sightings


def words(version):
    return tuple(
        [version.text[start:end] for start, end in spans]
        for spans in ((version.occupation,), version.male, version.female)
    )


def test_lines_are_cut_into_sentences_one_by_one():
    def lines():
        yield "He works. She does not! “Why?” nobody knows 3.5 times.\n"
        yield "\n"
        raise AssertionError("more was read than was asked for")

    stream = sentences(lines())
    assert [next(stream) for _ in range(3)] == [
        "He works.",
        "She does not!",
        "“Why?” nobody knows 3.5 times.",
    ]


def test_a_sentence_and_its_twin_tell_where_words_stand():
    (found,) = sightings("The nurse said that his wife knew him.")
    assert (found.occupation, found.words) == ("nurse", 3)
    own, other = found.versions
    assert words(own) == (["nurse"], ["his", "him"], ["wife"])
    assert other.text == "The nurse said that her husband knew her."
    assert words(other) == (["nurse"], ["husband"], ["her", "her"])


def test_each_occupation_counts_and_plurals_do_too():
    assert [one.occupation for one in sightings("She met Nurses and one engineer.")] == ["nurse", "engineer"]


def test_what_says_nothing_of_gender_and_work_is_left_out():
    assert sightings("The nurse works.") == []
    assert sightings("She works.") == []
    assert sightings("She is no nurseling.") == []
    assert sightings("She met a nurse" + " again" * MOST_WORDS) == []


def test_contexts_are_the_first_sentences_of_a_word_and_the_place_of_it():
    texts = [f"A nurse came {number} times to the nurse." for number in range(5)]
    found = contexts(texts, ["nurse", "art"], most=2)
    assert [text for text, _ in found["nurse"]] == texts[:2]
    assert all(text[slice(*span)] == "nurse" for text, span in found["nurse"])
    assert found["art"] == []  # "part" and "Art" are other words


def test_reading_ends_where_every_word_has_enough():
    def texts():
        yield "A nurse and some art."
        raise AssertionError("more was read than was needed")

    assert all(contexts(texts(), ["nurse", "art"], most=1).values())
