"""The flow of bias over the positions of tiny models, and what it says of noise."""

from collections import Counter

import numpy as np
import pytest
import torch
from test_detector import TEXTS
from tiny_masked import masked_model

from leanformer.audit import flow
from leanformer.audit.detector import detect
from leanformer.audit.flow import chosen_sightings, measure_flow
from leanformer.audit.positions import ATTENTION, EMBEDDING, IN_LAYER
from leanformer.audit.replaced import BEHIND
from leanformer.errors import DataError, ModelError


def test_every_place_and_every_replacement_has_a_degree(masked):
    found = measure_flow(masked, chosen_sightings(TEXTS))
    places = {column for column in found.columns if len(column) == 2}
    assert places == {(-1, EMBEDDING), *((layer, name) for layer in (0, 1) for name in IN_LAYER)}
    assert {column[1] for column in found.columns if len(column) == 4} == set(BEHIND)
    assert found.names == ("guard", "nurse")
    assert found.used == len(TEXTS)
    assert found.degree.shape == found.noise.shape == (2, len(found.columns))
    assert ((found.degree >= 0) & (found.degree <= 1)).all()
    assert (found.degree > 0).all()
    again = measure_flow(masked, chosen_sightings(TEXTS))
    assert np.array_equal(found.beyond, again.beyond)


def test_of_a_single_head_the_attention_is_the_detector_s():
    asked = masked_model("bert", heads=1)
    found, scanned = measure_flow(asked, chosen_sightings(TEXTS)), detect(asked, TEXTS)
    for layer, head in enumerate(scanned.heads):
        at = found.columns.index((layer, ATTENTION))
        assert found.degree[:, at].mean() == pytest.approx(head.degree, abs=1e-5)


def test_a_model_that_does_not_tell_genders_apart_has_no_bias_anywhere():
    asked = masked_model("bert")
    words = asked.model.base_model.embeddings.word_embeddings.weight
    ids = asked.tokenizer.convert_tokens_to_ids(["he", "she"])
    with torch.no_grad():
        words[ids[1]] = words[ids[0]]
    found = measure_flow(asked, chosen_sightings(TEXTS))
    assert found.degree.max() < 1e-5


def test_noise_is_what_random_genders_give(masked, monkeypatch):
    """One occupation, whose sentences all say the same: of n random signs, the mean of |their sum| / n is left."""
    texts = ["the nurse said he was good"] * 8
    monkeypatch.setattr(flow, "SIGNS", 4000)
    found = measure_flow(masked, chosen_sightings(texts))
    wanted = found.degree * np.abs(2 * np.random.default_rng(1).binomial(8, 0.5, 100_000) - 8).mean() / 8
    assert found.noise == pytest.approx(wanted, rel=0.05)


def test_no_occupation_is_taken_too_often(monkeypatch):
    monkeypatch.setattr(flow, "MOST_EACH", 4)
    assert Counter(one.occupation for one in chosen_sightings(TEXTS * 3)) == {"nurse": 4, "guard": 4}
    monkeypatch.setattr(flow, "MOST", 3)
    texts = iter(TEXTS)
    assert len(chosen_sightings(texts)) == 3
    assert len(list(texts)) == len(TEXTS) - 3


def test_too_few_sentences_and_models_without_these_places_are_refused(masked):
    with pytest.raises(DataError, match="no occupation stands beside a gender word in 5 sentences"):
        measure_flow(masked, chosen_sightings(TEXTS[:4]))
    with pytest.raises(ModelError, match="modernbert"):
        measure_flow(masked_model("modernbert"), chosen_sightings(TEXTS))
