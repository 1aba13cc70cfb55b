"""The debias-and-retain objective against its formula worked out by hand, and against a model asked directly."""

import pytest
import torch

from leanformer.audit.mentions import Mention
from leanformer.tasks.words import IGNORED
from leanformer.training.neutral import (
    Anchors,
    Neutral,
    anchors_of,
    debias_term,
    mean_terms,
    neutral_loss,
    neutral_terms,
    retain_term,
    word_states,
)
from leanformer.training.word_rows import word_rows

SENTENCES = (
    ("the man was good", "man", "male"),
    ("a boy with a dog", "boy", "male"),
    ("the woman was bad and sad", "woman", "female"),
    ("she saw a film", "she", "female"),
    ("the nurse was fine", "nurse", "target"),
    ("no music in the city", "music", "target"),
)


def mentions():
    return [
        Mention(text, (text.index(word), text.index(word) + len(word)), word, kind)
        for text, word, kind in SENTENCES
    ]


@pytest.fixture
def rows(tiny_tokenizer):
    return word_rows(mentions(), tiny_tokenizer)


def test_each_direction_is_squared_for_itself():
    """v_male = (1, 0), v_female = (-1, 0), t = (3, 4): 9 + 9 and not (3 - 3)^2."""
    directions = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]])
    assert debias_term(torch.tensor([[[3.0, 4.0]]]), directions).item() == 18.0


def test_layers_are_summed_and_words_averaged():
    directions = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]]])
    states = torch.tensor([[[1.0, 2.0], [3.0, 0.0]], [[1.0, 1.0], [0.0, 5.0]]])  # (layers, words, hidden)
    first = ((1 + 4) + (9 + 0)) / 2
    second = ((4 + 1) + (100 + 0)) / 2
    assert debias_term(states, directions).item() == pytest.approx(first + second)


def test_what_is_retained_is_a_squared_distance():
    dense = torch.zeros(2, 2, 2)
    states = torch.tensor([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]]])
    assert retain_term(states, dense).item() == pytest.approx(5 / 2 + 10 / 2)
    assert retain_term(dense, dense).item() == 0.0


def test_a_word_is_the_mean_of_its_pieces():
    hidden = [torch.arange(12.0).view(1, 3, 4), torch.zeros(1, 3, 4)]
    words = torch.tensor([[False, True, True]])
    assert word_states(hidden, words)[0, 0].tolist() == [6.0, 7.0, 8.0, 9.0]


def a_batch():
    """Two target rows and two gendered ones, of two tokens each, with states that are easily added up."""
    hidden = [torch.ones(4, 2, 2), torch.arange(16.0).view(4, 2, 2)]
    labels = torch.tensor([[IGNORED, 2], [2, IGNORED], [0, IGNORED], [IGNORED, 1]])
    anchors = Anchors(
        torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]), torch.zeros(4, 2, 2)
    )
    return hidden, labels, anchors


def test_the_terms_of_a_batch():
    hidden, labels, anchors = a_batch()
    mask, rows = torch.ones(4, 2), torch.arange(4)
    debias, retain = neutral_terms(hidden, labels, mask, rows, Neutral(anchors, (1,)))
    assert debias.item() == pytest.approx(((2**2 + 3**2) + (4**2 + 5**2)) / 2)
    layer = ((8**2 + 9**2) + (14**2 + 15**2)) / 2
    assert retain.item() == pytest.approx(2 + layer)  # all states are retained, that of the embeddings too


def test_of_sentences_every_real_token_is_debiased():
    hidden, labels, anchors = a_batch()
    mask = torch.tensor([[1, 1], [1, 0], [1, 1], [1, 1]])
    debias, _ = neutral_terms(hidden, labels, mask, torch.arange(4), Neutral(anchors, (1,), of="sentence"))
    assert debias.item() == pytest.approx(((0 + 1) + (4 + 9) + (16 + 25)) / 3)


def test_where_layers_count_alike_the_length_of_states_does_not_matter():
    """Ten times the states, in one layer, the dense ones included, is the same loss; by the paper's sum it is not."""
    hidden, labels, anchors = a_batch()
    anchors = Anchors(
        anchors.directions + 1.0, torch.rand(4, 2, 2, generator=torch.Generator().manual_seed(0))
    )
    stretch = torch.tensor([1.0, 10.0])[:, None]
    longer = Anchors(anchors.directions * stretch, anchors.states * stretch)
    found = {}
    for alike in (True, False):
        for name, states, kept in (
            ("as is", hidden, anchors),
            ("longer", [hidden[0], 10 * hidden[1]], longer),
        ):
            goal = Neutral(kept, (0, 1), alike=alike)
            terms = neutral_terms(states, labels, torch.ones(4, 2), torch.arange(4), goal)
            found[alike, name] = [term.item() for term in terms]
    assert found[True, "longer"] == pytest.approx(found[True, "as is"], rel=1e-4)
    assert all(
        more > 50 * less for more, less in zip(found[False, "longer"], found[False, "as is"], strict=True)
    )


@pytest.mark.parametrize(("kept", "zero"), [([0, 1], 1), ([2, 3], 0)])
def test_a_batch_without_such_words_has_no_such_term(kept, zero):
    hidden, labels, anchors = a_batch()
    part = [state[kept] for state in hidden]
    terms = neutral_terms(part, labels[kept], torch.ones(2, 2), torch.tensor(kept), Neutral(anchors, (1,)))
    assert terms[zero].item() == 0.0
    assert terms[1 - zero].item() > 0


def test_rows_know_the_tokens_of_their_word(rows, tiny_tokenizer):
    pieces = [
        tiny_tokenizer.decode([ids[place] for place in places if place >= 0])
        for ids, places in zip(rows["input_ids"][:], rows["starts"][:], strict=True)
    ]
    assert pieces == [word for _, word, _ in SENTENCES]
    assert [label[0] for label in rows["label"][:]] == [0, 0, 1, 1, 2, 2]
    cut = word_rows(mentions(), tiny_tokenizer, longest=3)
    assert len(cut) == 1  # of "she saw a film" the first piece is left


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_the_dense_model_gives_directions_and_retains_itself(family, rows, tiny_tokenizer, tiny_model):
    model = tiny_model(family)
    anchors = anchors_of(model, tiny_tokenizer, rows)
    assert anchors.states.shape == (6, 3, 32)
    long = Neutral(anchors, (1, 2), alike=True)
    parts = [
        debias_term(
            anchors.states[4:][:, [layer]].transpose(0, 1),
            anchors.directions[:, [layer]] / long.lengths()[layer] ** 2,
        )
        for layer in (1, 2)
    ]
    assert mean_terms(model, tiny_tokenizer, rows, long)[0] == pytest.approx(float(sum(parts)), rel=1e-4)
    assert torch.allclose(anchors.directions[0], anchors.states[:2].mean(dim=0))
    assert torch.allclose(anchors.directions[1], anchors.states[2:4].mean(dim=0))
    debias, retain = mean_terms(model, tiny_tokenizer, rows, Neutral(anchors, (1, 2)))
    assert retain == pytest.approx(0.0, abs=1e-6)
    batch = dict(
        tiny_tokenizer.pad(
            {"input_ids": rows["input_ids"][4:], "attention_mask": rows["attention_mask"][4:]},
            return_tensors="pt",
        )
    )
    labels = torch.full_like(batch["input_ids"], IGNORED)
    for row, places in enumerate(rows["starts"][4:]):
        labels[row, [place for place in places if place >= 0]] = 2
    goal = Neutral(anchors, (1, 2), debias=0.25)
    loss, _ = neutral_loss(model, batch, torch.tensor([4, 5]), labels, goal)
    assert loss.item() == pytest.approx(0.25 * debias, rel=1e-4)
