"""What is recorded at every position, against a slow reading of what the layers do."""

import pytest
import torch
from tiny_masked import masked_model

from leanformer.audit.detector import tokens_and_weights
from leanformer.audit.positions import (
    ATTENTION,
    ATTENTION_OUT,
    CONTEXT,
    EMBEDDING,
    FFN_OUT,
    IN_LAYER,
    KEY,
    QUERY,
    VALUE,
    check_positions,
    recorded,
    relation,
)
from leanformer.audit.sightings import sightings
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError

TEXT = "the nurse said he was good"


def seen(asked, text=TEXT):
    """What is recorded of a text and its twin, its weights, and which tokens are real."""
    view, model = EncoderView(asked.model), asked.model.base_model
    model.config._attn_implementation = "eager"
    inputs, weights = tokens_and_weights(asked, sightings(text), model.device)
    with torch.no_grad(), recorded(model, view) as found:
        hidden = model(**inputs, output_attentions=True, output_hidden_states=True)
    return found, weights, inputs["attention_mask"].bool(), hidden


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "mpnet"])
def test_every_place_is_what_its_name_says(family):
    asked = masked_model(family)
    view = EncoderView(asked.model)
    found, _, _, out = seen(asked)
    assert set(found.states) == {(-1, EMBEDDING), *((layer, name) for layer in (0, 1) for name in IN_LAYER)}
    for layer in (0, 1):
        states = {name: found.states[layer, name] for name in IN_LAYER}
        entered = found.states[(-1, EMBEDDING) if layer == 0 else (0, FFN_OUT)]
        assert torch.equal(entered, out.hidden_states[layer])
        assert torch.equal(states[FFN_OUT], out.hidden_states[layer + 1])
        assert torch.allclose(states[ATTENTION], out.attentions[layer], atol=1e-6)
        query, key, value, attention_out = view.linears(layer, "head")
        for name, linear in ((QUERY, query), (KEY, key), (VALUE, value)):
            assert torch.allclose(states[name], linear(entered), atol=1e-5)
        heads = [
            part.view(*part.shape[:2], 4, -1).transpose(1, 2) for part in (states[VALUE], states[CONTEXT])
        ]
        assert torch.allclose(states[ATTENTION] @ heads[0], heads[1], atol=1e-5)
        norm = view.layers[layer].get_submodule(view.family.attention_end)
        assert torch.allclose(
            states[ATTENTION_OUT], norm(attention_out(states[CONTEXT]) + entered), atol=1e-5
        )


def test_a_relation_is_the_mean_attention_between_pieces():
    asked = masked_model("bert")
    found, weights, real, _ = seen(asked, "the plumber said he was a good dog")  # "plumber" has many pieces
    states = found.states[0, KEY]
    for row in range(2):
        own = states[row][real[row]]
        attention = (own @ own.T / own.shape[-1] ** 0.5).softmax(dim=-1)
        occupation, words = (weights[row, : len(own), column] > 0 for column in (0, 1 + row))
        assert occupation.sum() > 1
        wanted = attention[occupation][:, words].mean()
        assert relation((0, KEY), states, weights, real)[row, row] == pytest.approx(float(wanted), rel=1e-4)
    heads = found.states[0, ATTENTION]
    wanted = heads[0].mean(dim=0)[weights[0, :, 0] > 0][:, weights[0, :, 1] > 0].mean()
    assert relation((0, ATTENTION), heads, weights, real)[0, 0] == pytest.approx(float(wanted), rel=1e-4)


def test_padding_takes_no_share():
    asked = masked_model("bert")
    found, weights, real, _ = seen(asked)
    states, more = found.states[0, VALUE], 5
    wider = [
        torch.nn.functional.pad(part, (0, 0, 0, more), value=value)
        for part, value in ((states, 3.0), (weights, 0))
    ]
    padded = torch.nn.functional.pad(real, (0, more), value=False)
    one, other = relation((0, VALUE), states, weights, real), relation((0, VALUE), *wider, padded)
    assert torch.allclose(one, other, atol=1e-6)


def test_layers_that_normalise_what_they_read_are_refused():
    with pytest.raises(ModelError, match="the layers of modernbert normalise what they read"):
        check_positions(EncoderView(masked_model("modernbert").model))
