"""What an audit asks is loaded with its head for masked words, or known to have none."""

import pytest
import torch

from leanformer.audit.masked import require_mask
from leanformer.audit.models import load_asked
from leanformer.errors import ModelError


def test_a_head_for_masked_words_is_loaded_where_there_is_one(masked, masked_folder):
    loaded = load_asked(str(masked_folder))
    assert loaded.fills_blanks
    require_mask(loaded)
    ids = torch.tensor([[2, 8, 9, 3]])
    with torch.no_grad():
        assert torch.allclose(loaded.model(ids).logits, masked.model(ids).logits, atol=1e-5)


def test_an_encoder_without_one_is_refused_where_blanks_are_filled(headless):
    assert not headless.fills_blanks
    with pytest.raises(ModelError, match="has no head for masked words"):
        require_mask(headless)


def test_a_task_model_is_loaded_without_its_head(tiny_model, tiny_tokenizer, tmp_path):
    tiny_model("bert").save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    loaded = load_asked(str(tmp_path))
    assert type(loaded.model).__name__ == "BertModel"
    assert not loaded.fills_blanks


def test_a_head_that_is_promised_and_not_there_is_refused(tiny_model_folder):
    config = tiny_model_folder / "config.json"
    config.write_text(config.read_text().replace('"BertModel"', '"BertForMaskedLM"'))
    with pytest.raises(ModelError, match="are absent, such as cls"):
        load_asked(str(tiny_model_folder))
