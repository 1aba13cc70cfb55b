import pytest
import torch

from leanformer.encoders.first_token import FirstTokenLayer
from leanformer.encoders.forms import FORMS, PLAIN, check_form, form_name, forms_for, forms_within, in_form
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.export.loading import load_config
from leanformer.structure.surgery import slice_units
from tiny import build_reader, build_tagger

TOKENS = torch.arange(5, 23).view(2, 9)


def small(model):
    return slice_units(model, {(1, "head"): torch.tensor([0.0, 1, 1, 0]), (0, "neuron"): torch.zeros(64)})


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "modernbert"])
@pytest.mark.parametrize("lean", [False, True])
def test_every_form_computes_the_same(tiny_model, family, lean):
    model = small(tiny_model(family)) if lean else tiny_model(family)
    before = model.config._attn_implementation
    expected = model(input_ids=TOKENS).logits
    forms = forms_for(model.config)
    assert forms == (FORMS[:2] if family == "mpnet" else FORMS)
    for form in forms:
        changed = in_form(model, form)
        torch.testing.assert_close(changed(input_ids=TOKENS).logits, expected, atol=1e-5, rtol=0)
        assert (changed is model) == (form == PLAIN)
        assert (changed.config._attn_implementation == "eager") == (
            family == "mpnet" or "eager-attention" in form
        )
        assert isinstance(EncoderView(changed).layers[-1], FirstTokenLayer) == ("first-token" in form)
        assert not isinstance(EncoderView(changed).layers[0], FirstTokenLayer)
    assert model.config._attn_implementation == before


def test_the_forms_by_their_parts():
    assert form_name() == PLAIN == FORMS[0]
    assert [form_name(*parts) for parts in [(True, False), (False, True), (True, True)]] == list(FORMS[1:])
    assert forms_within() == (PLAIN,)
    assert forms_within(first_token=True) == (PLAIN, "first-token")
    assert forms_within(eager_attention=True) == (PLAIN, "eager-attention")
    assert forms_within(first_token=True, eager_attention=True) == FORMS


@pytest.mark.parametrize("form", ["first-token", "first-token+eager-attention"])
def test_a_head_that_pools_over_all_tokens(tiny_model, form):
    config = tiny_model("modernbert").config
    config.classifier_pooling = "mean"
    assert forms_for(config) == (PLAIN, "eager-attention")
    with pytest.raises(ModelError, match="needed for all of them"):
        check_form(config, form)


def test_what_is_no_form_of_a_model(tiny_model):
    model = tiny_model("mpnet")
    with pytest.raises(ModelError, match="There is no form 'last-token': choose one of first-token"):
        in_form(model, "last-token")
    with pytest.raises(ModelError, match="attention of mpnet is eager in every form"):
        in_form(model, "eager-attention")


@pytest.mark.parametrize("build", [build_tagger, build_reader])
def test_a_model_that_answers_for_tokens_has_no_first_token_form(build, tiny_tokenizer, tmp_path):
    save_model(build("bert"), tiny_tokenizer, tmp_path)
    config = load_config(tmp_path)
    assert forms_for(config) == (PLAIN, "eager-attention")
    with pytest.raises(ModelError, match="answers for every token"):
        check_form(config, "first-token")
    with pytest.raises(ModelError, match="reads every token"):
        in_form(build("bert"), "first-token")  # its configuration does not know its head yet
