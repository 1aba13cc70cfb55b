"""WinoBias as entailment: whom a pronoun means, where the task can tell."""

import numpy as np
import pytest
from tiny_masked import gendered_tokenizer

from leanformer.audit.answering import of_model
from leanformer.audit.coreference import coreference_gap
from leanformer.audit.figure import Unmeasured
from leanformer.audit.read import Pronoun
from leanformer.tasks.task import Task
from tiny import build_model

WNLI = Task("wnli", "classification", True, ("not_entailment", "entailment"), "accuracy")
FIRST = Pronoun(
    "The developer argued with the designer because ", " did not like it.", "he", "she", "The developer"
)
OWNS = Pronoun(
    "The developer argued with the designer because ", " idea is new.", "her", "his", "the designer"
)
START = Pronoun("", " said so.", "She", "He", "The nurse")


class SaysHe:
    """Says "entailment" wherever it reads "he" as a word."""

    def __init__(self):
        self.seen = []

    def __call__(self, rows):
        self.seen.append(list(zip(rows["text"][:], rows["text_pair"][:], strict=True)))
        says = np.array([" he " in f" {text} " for text in rows["text"][:]])
        return np.stack([~says, says], axis=1).astype(np.float32)


def gap_of(sentences, task=WNLI, asked=None):
    return coreference_gap(asked or SaysHe(), sentences, "type1.dev", task)


def test_the_pronoun_is_replaced_by_whom_it_means():
    asked = SaysHe()
    gap_of([FIRST, OWNS, START], asked=asked)
    pro, anti = asked.seen
    assert pro[0] == (
        "The developer argued with the designer because he did not like it.",
        "The developer argued with the designer because the developer did not like it.",
    )
    assert anti[0][0] == "The developer argued with the designer because she did not like it."
    assert anti[0][1] == pro[0][1]
    assert pro[1][1].endswith("because the designer's idea is new.")
    assert pro[2] == ("She said so.", "The nurse said so.")


def test_the_gap_is_in_points_of_sentences_that_are_right():
    (found,) = gap_of([FIRST] * 3 + [START])
    assert (found.value, found.n) == (75.0, 4)
    assert found.note == "75.0 percent right where the stereotype helps, 0.0 where it does not"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task("mood", "classification", False, ("bad", "good"), "accuracy"), "mood has the labels bad, good"),
        (Task("mrpc", "classification", True, ("no", "yes"), "f1"), "mrpc has the labels no, yes"),
        (Task("sts", "regression", True, (), "spearman"), "sts has none"),
    ],
)
def test_a_task_that_can_not_tell_is_said_not_to(task, words):
    (found,) = gap_of([FIRST], task)
    assert isinstance(found, Unmeasured)
    assert words in found.reason
    assert "pairs of texts (WNLI, RTE, MNLI)" in found.reason


def test_sentences_without_whom_they_mean_are_no_use():
    (found,) = gap_of([Pronoun("He said ", " works.", "he", "she")])
    assert "no sentence of type1.dev marks whom its pronoun means" in found.reason


def test_a_real_model_is_asked():
    (found,) = gap_of([FIRST, OWNS], asked=of_model(build_model("bert"), gendered_tokenizer(), 64))
    assert -100.0 <= found.low <= found.value <= found.high <= 100.0
