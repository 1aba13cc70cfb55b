"""debias-movement: only gates train, the level is met, the objective falls; sliced is the same as masked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModel

from leanformer.audit.mentions import Mention
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.methods import debias_movement, movement
from leanformer.methods.debias_movement import Case, gates_of, objective, trained_masks
from leanformer.methods.debias_registry import DEBIAS_METHODS
from leanformer.methods.movement import GATED, without_closed
from leanformer.structure.cost import encoder_weights, removed_weights
from leanformer.structure.masks import applied
from leanformer.training.gates import gates_in_force
from leanformer.training.neutral import anchors_of, mean_terms
from leanformer.training.word_rows import word_rows
from tiny import build_model, padded_texts

METHOD = DEBIAS_METHODS["debias-movement"]
ENDINGS = ("good", "bad in the city", "with a dog", "sad and cold", "in a film")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(movement, "BLOCK", 4)


@pytest.fixture
def case(tiny_tokenizer, tmp_path):
    """The factory case(granularity="unit", **options)."""

    def make(granularity: str = "unit", folder: str = "run", family: str = "bert", **options) -> Case:
        words = {"male": ("man", "he"), "female": ("woman", "she"), "target": ("nurse", "music", "art")}
        mentions = [
            Mention(f"the {word} was {ending}", (4, 4 + len(word)), word, kind)
            for ending in ENDINGS
            for kind, named in words.items()
            for word in named
        ]
        rows = word_rows(mentions, tiny_tokenizer)
        model = build_model(family, AutoModel, hidden=16, heads=4, width=48)
        settings = METHOD.settings({"steps": 12, "batch": 16, **options})
        anchors = anchors_of(model, tiny_tokenizer, rows)
        return Case(model, tiny_tokenizer, rows, anchors, granularity, settings, 0, tmp_path / folder)

    return make


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("selection", ["share", "threshold"])
def test_weights_are_frozen_and_gates_learn(case, selection):
    given = case(selection=selection)
    before, gates = state_of(given.model), gates_of(given, 0.3)
    build = debias_movement.gates_of
    try:
        debias_movement.gates_of = lambda case, level: gates
        trained_masks(given, 0.3)
    finally:
        debias_movement.gates_of = build
    assert same(before, state_of(given.model))
    assert all((gate.scores != 0).any() for _, gate in gates.each())


@pytest.mark.parametrize("granularity", METHOD.granularities)
def test_the_level_is_the_share_that_is_closed(case, granularity):
    given = case(granularity)
    masks, facts = trained_masks(given, 0.25)
    assert facts["steps"] == 12
    assert {kind for _, kind in masks} <= set(GATED[granularity])
    view = EncoderView(given.model)
    share = removed_weights(view, masks) / encoder_weights(view)
    whole = {"head": 4 / 10, "neuron": 6 / 10}.get(granularity, 1.0)  # of the weights that have gates
    assert share == pytest.approx(0.25 * whole, abs=0.05)


def test_what_is_closed_is_what_the_objective_says(case):
    """At a given share, the gates' choice carries less gender into targets than what they would close last."""
    given = case(steps=30)
    masks, _ = trained_masks(given, 0.2)
    goal = objective(given)
    before, _ = mean_terms(given.model, given.tokenizer, given.rows, goal)
    with applied(given.model, masks):
        after, retained = mean_terms(given.model, given.tokenizer, given.rows, goal)
    assert after < before
    assert retained > 0


@pytest.mark.parametrize("granularity", ["unit", "head", "block", "hybrid"])
@pytest.mark.parametrize("family", ["bert", pytest.param("distilbert", marks=pytest.mark.thorough)])
def test_masked_sliced_and_reloaded_answer_alike(case, granularity, family, tmp_path):
    given = case(granularity, family=family)
    masks, _ = trained_masks(given, 0.4)
    batch = padded_texts([7, 4])
    with torch.no_grad():
        dense = given.model(**batch).last_hidden_state
        with gates_in_force(given.model, filled(given, masks)):
            masked = given.model(**batch).last_hidden_state
        small, _ = without_closed(given.model, masks, granularity)
        sliced = small(**batch).last_hidden_state
        save_model(small, given.tokenizer, tmp_path / "model")
        reloaded = AutoModel.from_pretrained(tmp_path / "model").eval()(**batch).last_hidden_state
    real = batch["attention_mask"].bool()
    assert not torch.allclose(dense[real], masked[real], atol=1e-3)
    assert torch.allclose(masked[real], sliced[real], atol=1e-5)
    assert torch.equal(sliced[real], reloaded[real])


def filled(given, masks):
    """Gates that have the masks."""
    gates = gates_of(given, 0.1)
    for key, gate in gates.each():
        step = [slice(None, None, block) for block in gate.block]
        gate.mask.copy_(masks[key][tuple(step)])
    return gates


def test_the_same_seed_gives_the_same_gates(case):
    first, again = (trained_masks(case(folder=name), 0.3)[0] for name in ("a", "b"))
    assert same(first, again)
    other = trained_masks(replace(case(folder="c"), seed=1), 0.3)[0]
    assert first.keys() == other.keys()


class Killed(Exception):
    """What a kill looks like from within."""


@pytest.mark.parametrize("selection", ["share", "threshold"])
def test_a_killed_training_goes_on_to_the_same_gates(case, selection, monkeypatch):
    whole, _ = trained_masks(case(folder="whole", steps=20, selection=selection), 0.3)
    steps = []
    watched = debias_movement.gates_of

    def gates_that_die(given, level):
        gates = watched(given, level)
        advance = gates.advance

        def dying(progress):
            steps.append(progress)
            if len(steps) == 13:
                raise Killed
            advance(progress)

        gates.advance = dying
        return gates

    monkeypatch.setattr(debias_movement, "gates_of", gates_that_die)
    with pytest.raises(Killed):
        trained_masks(case(folder="killed", steps=20, selection=selection), 0.3)
    resumed, _ = trained_masks(case(folder="killed", steps=20, selection=selection), 0.3)
    assert 13 < len(steps) < 13 + 20  # it did not begin again
    assert same(whole, resumed)


@pytest.mark.parametrize(
    ("layers", "states"), [("all", (1, 2)), ("first", (1,)), ("last", (2,)), ("intermediate", (1, 2))]
)
def test_whose_states_are_debiased(case, layers, states):
    goal = objective(case(layers=layers, of="sentence", debias=0.5))
    assert (goal.layers, goal.of, goal.debias) == (states, "sentence", 0.5)
