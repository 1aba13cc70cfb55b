"""What an audit asks of a model of PyTorch."""

import numpy as np
import pytest
from datasets import Dataset

from leanformer.audit.answering import of_model
from leanformer.errors import RunError
from tiny import build_model, build_tokenizer


def test_texts_that_are_too_long_are_cut():
    asked = of_model(build_model("bert"), build_tokenizer())
    long, cut = (Dataset.from_dict({"text": ["rain " * words], "row": [0]}) for words in (90, 62))
    np.testing.assert_array_equal(asked(long), asked(cut))  # 62 words, [CLS] and [SEP]


def test_more_tokens_than_the_model_takes_are_refused():
    with pytest.raises(RunError, match="the model takes 64 tokens at most"):
        of_model(build_model("bert"), build_tokenizer(), 65)
