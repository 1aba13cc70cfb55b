from __future__ import annotations

import pytest
import transformers

from leanformer.encoders.families import FAMILIES, family_of, is_lean, supported
from leanformer.errors import ModelError
from leanformer.structure.surgery import slice_units


def test_families_are_named_by_model_type():
    for name, family in FAMILIES.items():
        assert getattr(transformers, f"{family.prefix}Config").model_type == name
        assert family_of(transformers.AutoConfig.for_model(name)) is family
    assert set(supported()) >= {
        "bert",
        "roberta",
        "xlm-roberta",
        "electra",
        "distilbert",
        "mpnet",
        "modernbert",
    }


def test_a_lean_configuration_belongs_to_its_family(tiny_model):
    model = tiny_model("electra")
    small = slice_units(model, {})
    assert family_of(small.config) is FAMILIES["electra"]
    assert is_lean(small.config)
    assert not is_lean(model.config)


def test_an_unsupported_architecture_is_named_with_those_supported():
    with pytest.raises(ModelError, match=r"'gpt2' is not supported.*bert, roberta"):
        family_of(transformers.GPT2Config())


def test_a_decoder_is_refused():
    with pytest.raises(ModelError, match="decoder"):
        family_of(transformers.BertConfig(is_decoder=True))
