"""A tiny encoder with a head for masked words, whose vocabulary has gender words; and one without."""

import pytest
from tiny_masked import masked_model

from leanformer.audit.models import load_asked


@pytest.fixture(scope="session")
def masked():
    return masked_model("bert")


@pytest.fixture(scope="session")
def masked_folder(masked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-mlm"
    masked.model.save_pretrained(folder)
    masked.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def headless(tiny_model_folder):
    return load_asked(str(tiny_model_folder))
