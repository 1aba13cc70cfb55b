"""The attention detector, on the attention of tiny models and against a slow reading of its definition."""

import numpy as np
import pytest
import torch
from tiny_masked import masked_model

from leanformer.audit import detector
from leanformer.audit.detector import degree_figure, detect
from leanformer.audit.models import Asked
from leanformer.audit.sightings import sightings
from leanformer.audit.vectors import overlapping
from leanformer.encoders.view import EncoderView
from leanformer.errors import DataError, ModelError
from leanformer.structure.surgery import slice_units

TEXTS = [
    f"the {work} was {mood} and {who} works"
    for work in ("nurse", "guard")
    for who in ("he", "she")
    for mood in ("good", "bad", "fine")
]


def slowly(asked, sighting):
    """r of both genders as defined: the mean over pairs of pieces of attention from occupation to gender word."""
    encoder = asked.model.base_model
    encoder.config._attn_implementation = "eager"
    sums = np.zeros((EncoderView(asked.model).n_layers, encoder.config.num_attention_heads, 2))
    for version in sighting.versions:
        inputs = asked.tokenizer(version.text, return_tensors="pt", return_offsets_mapping=True)
        tokens = inputs.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            layers = encoder(**inputs, output_attentions=True).attentions
        for gender, spans in enumerate((version.male, version.female)):
            for span in spans:
                rows, columns = overlapping(tokens, version.occupation), overlapping(tokens, span)
                for layer, attention in enumerate(layers):
                    pairs = attention[0][:, rows][:, :, columns]
                    sums[layer, :, gender] += pairs.mean(dim=(1, 2)).numpy() / sighting.words
    return sums.reshape(-1, 2)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "mpnet", "modernbert"])
def test_relation_degrees_are_those_of_the_definition(family):
    asked = masked_model(family)
    found = [*sightings("the plumber said he was a good guard and his dog was bad"), *sightings(TEXTS[0])]
    with detector._attentive(asked) as (ask, places):
        degrees = ask(found)
    assert places == [(layer, head) for layer in (0, 1) for head in range(4)]
    for one, sighting in zip(degrees, found, strict=True):
        assert one[0] == pytest.approx(slowly(asked, sighting), abs=1e-5)


def test_swapping_the_text_changes_nothing(masked):
    """Each sentence is seen with its twin: whose text is the original one does not matter."""
    swapped = [
        text.replace(" he ", " SHE ").replace(" she ", " he ").replace(" SHE ", " she ") for text in TEXTS
    ]
    found = [detect(masked, texts) for texts in (TEXTS, swapped)]
    for one, other in zip(*(found[at].heads for at in (0, 1)), strict=True):
        assert one.degree == pytest.approx(other.degree, abs=1e-6)
    assert [one.name for one in found[0].occupations] == [one.name for one in found[1].occupations]


def test_a_model_that_does_not_tell_genders_apart_has_no_bias():
    asked = masked_model("bert")
    words = asked.model.base_model.embeddings.word_embeddings.weight
    ids = asked.tokenizer.convert_tokens_to_ids(["he", "she"])
    with torch.no_grad():
        words[ids[1]] = words[ids[0]]
    found = detect(asked, TEXTS)
    assert found.degree["occupation to gender word"] == pytest.approx(0, abs=1e-6)
    assert all(one.bias == pytest.approx(0, abs=1e-6) for one in found.occupations)


def test_a_scan_counts_what_it_reads_and_what_it_uses(masked):
    found = detect(masked, ["a good film ."] * 7 + TEXTS)
    assert (found.sentences, found.used) == (7 + len(TEXTS), len(TEXTS))
    assert {one.name: one.n for one in found.occupations} == {"nurse": 6, "guard": 6}
    assert len(found.heads) == 8
    for one in found.occupations:
        assert -1 <= one.low <= one.bias <= one.high <= 1
    figure = degree_figure(found)
    assert figure.n == 2
    assert figure.value == pytest.approx(found.degree["occupation to gender word"])


def test_a_compressed_model_is_scanned_by_the_heads_that_it_has():
    asked = masked_model("bert")
    masks = {(0, "head"): torch.tensor([1.0, 0.0, 1.0, 0.0]), (1, "head"): torch.zeros(4)}
    small = Asked("small", slice_units(asked.model, masks), asked.tokenizer, True)
    found = detect(small, TEXTS)
    assert [(one.layer, one.head) for one in found.heads] == [(0, 0), (0, 1)]


def test_a_text_without_occupations_is_refused(masked):
    with pytest.raises(DataError, match="of 2 sentences 0 have a gender word beside an occupation"):
        detect(masked, ["he works", "a good film"])


def test_a_model_whose_texts_leave_early_is_refused(masked, monkeypatch):
    monkeypatch.setattr(masked.model.config, "exits", [1, 2], raising=False)
    with pytest.raises(ModelError, match="leave the model on the way"):
        detect(masked, TEXTS)
