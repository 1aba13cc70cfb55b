"""fair-distillation: the student's start, its training, and that it tells the words of a group apart less."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForMaskedLM

from leanformer.encoders.saving import save_model
from leanformer.errors import ModelError
from leanformer.methods.debias_registry import DEBIAS_METHODS
from leanformer.methods.fair_distillation import Lesson, distilled, new_student, student_layers
from tiny import PLAIN_WORDS, build_model, padded_texts

METHOD = DEBIAS_METHODS["fair-distillation"]
TEXTS = [" ".join(PLAIN_WORDS[start : start + 12]) for start in range(20)] * 4
FAMILIES = ("bert", "roberta", "distilbert", "modernbert")


@pytest.fixture
def lesson(tiny_tokenizer, tmp_path):
    """The factory lesson(family="bert", groups=..., **options): "film" and "movie" are to be equal."""

    def make(family: str = "bert", groups: bool = True, folder: str = "run", **options) -> Lesson:
        teacher = build_model(family, AutoModelForMaskedLM, layers=4)
        ids = (tuple(tiny_tokenizer.convert_tokens_to_ids(["film", "movie"])),) if groups else ()
        settings = METHOD.settings({"batch": 16, "tokens": 16, **options})
        return Lesson(teacher, tiny_tokenizer, TEXTS, ids, settings, 0, tmp_path / folder)

    return make


def gap(model, lesson):
    """How far the words of the group lie apart in what a model expects, anywhere in the texts."""
    (first, second) = lesson.groups[0]
    with torch.no_grad():
        batch = lesson.tokenizer(TEXTS[:20], padding=True, return_tensors="pt")
        logs = model(**batch).logits.log_softmax(-1)[batch["attention_mask"].bool()]
    return float((logs[..., first] - logs[..., second]).abs().mean())


def test_layers_are_spaced_evenly_and_the_last_one_stays(lesson):
    model = lesson().model
    assert [student_layers(model, count) for count in (0, 1, 3, 4)] == [[1, 3], [3], [0, 1, 3], [0, 1, 2, 3]]
    with pytest.raises(ModelError, match="can not have 5 of 4 layers"):
        student_layers(model, 5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_begins_as_layers_of_its_teacher(lesson, family):
    given = lesson(family, layers=4)
    batch = padded_texts([9, 5])
    with torch.no_grad():
        real = batch["attention_mask"].bool()
        assert torch.allclose(
            new_student(given).eval()(**batch).logits[real], given.model(**batch).logits[real], atol=1e-5
        )


def test_new_weights_are_the_seeds(lesson):
    first, again = (new_student(lesson(start="random")).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    taken = new_student(lesson()).state_dict()
    assert any(not torch.equal(first[name], taken[name]) for name in first)


@pytest.mark.parametrize("even", ["logits", "probabilities"])
def test_a_student_of_an_even_teacher_tells_the_words_apart_less(lesson, even):
    options = {"learning_rate": 5e-3, "layers": 4}
    given = replace(lesson(even=even, labels="free", **options), texts=12 * TEXTS)
    control = replace(lesson(groups=False, folder="control", **options), texts=12 * TEXTS)
    student, facts = distilled(given, "Student")
    plain, _ = distilled(control, "Control")
    assert facts["steps"] == 12 * len(TEXTS) // 16
    assert gap(student, given) < 0.85 * gap(plain, given)


def test_the_same_seed_gives_the_same_student_and_it_reloads(lesson, tmp_path):
    given = lesson()
    first, again = (distilled(lesson(folder=name), "Student")[0] for name in ("a", "b"))
    assert all(
        torch.equal(one, other)
        for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert save_model(first, given.tokenizer, tmp_path / "model") == "plain"
    batch = padded_texts([9, 5])
    with torch.no_grad():
        reloaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "model").eval()
        assert torch.equal(reloaded(**batch).logits, first(**batch).logits)


def test_embeddings_of_a_taken_start_stay(lesson):
    given = lesson()
    student, _ = distilled(given, "Student")
    assert torch.equal(student.get_input_embeddings().weight, given.model.get_input_embeddings().weight)
