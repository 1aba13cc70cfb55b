"""The public data sets are read in their published formats, from wherever they lie."""

import json

import pytest

from leanformer.audit.read import Profession, Pronoun, Triple, read_suite
from leanformer.errors import DataError
from tiny import write_csv

SETS = ("targ1", "targ2", "attr1", "attr2")


@pytest.fixture
def folder(tmp_path):
    seat = {key: {"category": key, "examples": [f"This is {key}.", f"That is {key}."]} for key in SETS}
    (tmp_path / "seat").mkdir()
    for number in (10, 2):
        (tmp_path / "seat" / f"sent-weat{number}.jsonl").write_text(json.dumps(seat))
    write_csv(
        tmp_path / "crows_pairs_anonymized.csv",
        ("", "sent_more", "sent_less", "stereo_antistereo", "bias_type"),
        [
            (str(row), f"more {row}", f"less {row}", "stereo" if row else "antistereo", "gender")
            for row in range(4)
        ],
    )
    return tmp_path


def stereoset(context, *texts):
    labels = ("anti-stereotype", "stereotype", "unrelated")
    sentences = [{"sentence": text, "gold_label": label} for text, label in zip(texts, labels, strict=True)]
    return {"target": "nurse", "context": context, "sentences": sentences}


def test_seat_and_crows_pairs(folder):
    found = read_suite(folder)
    assert list(found.seat) == ["sent-weat2", "sent-weat10"]
    assert found.seat["sent-weat2"][2] == ["This is attr1.", "That is attr1."]
    assert [pair.is_stereotype for pair in found.crows] == [False, True, True, True]
    assert found.crows[1].stereotyped == "more 1"
    assert (found.inside, found.between, found.winobias) == ([], [], {})


def test_a_part_is_drawn_the_same_every_time(folder):
    parts = [[pair.stereotyped for pair in read_suite(folder, most=2).crows] for _ in range(2)]
    assert parts[0] == parts[1]
    assert len(parts[0]) == 2


def test_stereoset_fills_are_what_stands_at_the_blank(tmp_path):
    inside = [
        stereoset(
            "The nurse was BLANK.", "The nurse was strong.", "The nurse was kind.", "The nurse was fox."
        ),
        stereoset("The nurse was BLANK.", "A nurse was strong.", "The nurse was kind.", "The nurse was fox."),
    ]
    between = [stereoset("He is a nurse.", "Strong.", "Kind.", "Fox.")]
    content = {"data": {"intrasentence": inside, "intersentence": between}}
    (tmp_path / "stereoset_dev.json").write_text(json.dumps(content))
    found = read_suite(tmp_path)
    assert found.inside == [Triple("nurse", "The nurse was BLANK.", ("kind", "strong", "fox"))]
    assert found.between == [Triple("nurse", "He is a nurse.", ("Kind.", "Strong.", "Fox."))]


def test_winobias_is_read_in_pairs_and_without_brackets(tmp_path):
    first = "1 [The developer] argued with the designer because [{}] did not like the design.\n"
    second = "2 The guard met [the {}] and thanked [{}].\n"
    pro = first.format("he") + second.format("nurse", "her")
    anti = first.format("she") + second.format("clerk", "him")
    (tmp_path / "pro_stereotyped_type1.txt.dev").write_text(pro)
    (tmp_path / "anti_stereotyped_type1.txt.dev").write_text(anti)
    assert read_suite(tmp_path).winobias == {
        "type1.dev": [
            Pronoun(
                "The developer argued with the designer because ",
                " did not like the design.",
                "he",
                "she",
                "The developer",
            )
        ]
    }  # the second lines differ in more than the pronoun


def test_what_can_not_be_read_is_said(folder, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        read_suite(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds none of"):
        read_suite(tmp_path / "empty")
    (folder / "seat" / "sent-weat2.jsonl").write_text('{"targ1": {}}')
    with pytest.raises(DataError, match=r"sent-weat2\.jsonl is not in the published format"):
        read_suite(folder)


def test_professions_and_whom_a_pronoun_means(tmp_path):
    ratings = [["accountant", 0.0, 0.4], ["actress", -1.0, 0.0], ["adjunct_professor", 0.0, 0.5]]
    (tmp_path / "professions").mkdir()
    (tmp_path / "professions" / "professions.json").write_text(json.dumps(ratings))
    for side, pronoun in (("pro", "he"), ("anti", "she")):
        line = f"1 [The developer] argued with the designer because [{pronoun}] did not like it."
        (tmp_path / f"{side}_stereotyped_type1.txt.dev").write_text(line + "\n")
    found = read_suite(tmp_path)
    assert [one.name for one in found.professions] == ["accountant", "actress", "adjunct professor"]
    assert found.professions[1] == Profession("actress", -1.0, 0.0)
    (sentence,) = found.winobias["type1.dev"]
    assert sentence.referent == "The developer"
    assert (sentence.pro, sentence.anti) == ("he", "she")
    assert sentence.before == "The developer argued with the designer because "
    (tmp_path / "professions" / "professions.json").write_text("[[1, 2]]")
    with pytest.raises(DataError, match=r"professions\.json is not in the published format"):
        read_suite(tmp_path)
