from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset

from leanformer.errors import DataError, ModelError, RunError
from leanformer.tasks.encode import batches, encode, longest_input, model_max_tokens
from tiny import MAX_TOKENS, TINY_FAMILIES

TEXTS = ["the film was good", "bad", "a very very sad story with music", "good film", "rain"]


def rows(**more) -> Dataset:
    columns = {"text": TEXTS, "label": [1, 0, 0, 1, 0], "row": [2, 3, 4, 5, 6], **more}
    return Dataset.from_dict(columns, split="train")


def test_columns(tiny_tokenizer):
    encoded = encode(rows(), tiny_tokenizer, MAX_TOKENS, truncate=False)
    assert encoded.column_names == ["text", "label", "row", "input_ids", "attention_mask", "token_type_ids"]
    assert encoded[1]["input_ids"] == tiny_tokenizer("bad")["input_ids"]
    assert encoded["row"][:] == [2, 3, 4, 5, 6]


def test_pairs(tiny_tokenizer):
    encoded = encode(rows(text_pair=list(reversed(TEXTS))), tiny_tokenizer, MAX_TOKENS, truncate=False)
    assert encoded[0]["input_ids"] == tiny_tokenizer(TEXTS[0], "rain")["input_ids"]
    assert sum(encoded[0]["token_type_ids"]) == 2  # "rain" and the separator after it


def test_too_long(tiny_tokenizer):
    data = rows(text=[*TEXTS[:3], "good " * 70, "bad " * 80])
    with pytest.raises(DataError) as caught:
        encode(data, tiny_tokenizer, MAX_TOKENS, truncate=False)
    for part in ("train row 5", "72 tokens", "64 at most", "2 of 5 rows", "--truncate"):
        assert part in str(caught.value)
    encoded = encode(data, tiny_tokenizer, MAX_TOKENS, truncate=True)
    assert [len(tokens) for tokens in encoded["input_ids"][:]][3:] == [64, 64]
    assert encoded[3]["input_ids"][-1] == tiny_tokenizer.sep_token_id


def test_batches_cover_all_rows_once_with_the_least_padding(tiny_tokenizer):
    encoded = encode(rows(), tiny_tokenizer, MAX_TOKENS, truncate=False)
    seen = []
    for indices, batch in batches(encoded, tiny_tokenizer, batch_size=2):
        lengths = [len(encoded[int(index)]["input_ids"]) for index in indices]
        assert batch["input_ids"].shape == (len(indices), max(lengths))
        assert batch["attention_mask"].sum(dim=1).tolist() == lengths
        assert batch["labels"].tolist() == [encoded[int(index)]["label"] for index in indices]
        assert batch["labels"].dtype == torch.int64
        seen.extend(indices)
    assert sorted(seen) == [0, 1, 2, 3, 4]
    again = np.concatenate([indices for indices, _ in batches(encoded, tiny_tokenizer, batch_size=2)])
    assert again.tolist() == [int(index) for index in seen]


def test_regression_labels_are_float32(tiny_tokenizer):
    encoded = encode(rows(label=[0.5, 1.0, 2.0, 3.0, 4.5]), tiny_tokenizer, MAX_TOKENS, truncate=False)
    _, batch = next(batches(encoded, tiny_tokenizer))
    assert batch["labels"].dtype == torch.float32


def test_unlabelled_rows_make_batches_without_labels(tiny_tokenizer):
    encoded = encode(rows().remove_columns("label"), tiny_tokenizer, MAX_TOKENS, truncate=False)
    _, batch = next(batches(encoded, tiny_tokenizer))
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids"}


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_longest_input_really_runs(family, tiny_model, tiny_tokenizer):
    model = tiny_model(family)
    longest = model_max_tokens(model, tiny_tokenizer)
    assert longest == MAX_TOKENS
    encoded = encode(rows(text=["good " * 100] * 5), tiny_tokenizer, longest, truncate=True)
    _, batch = next(batches(encoded, tiny_tokenizer))
    assert model(**batch).logits.shape == (5, 2)


def test_limits_come_from_the_model_and_the_tokenizer(tiny_model, tiny_tokenizer, monkeypatch):
    model = tiny_model("bert")
    monkeypatch.setattr(tiny_tokenizer, "model_max_length", int(1e30))
    assert model_max_tokens(model, tiny_tokenizer) == MAX_TOKENS
    assert model_max_tokens(tiny_model("roberta"), tiny_tokenizer) == MAX_TOKENS + 1  # padding index 0, not 1
    monkeypatch.setattr(tiny_tokenizer, "model_max_length", 16)
    assert model_max_tokens(model, tiny_tokenizer) == 16


def test_no_limit_at_all(tiny_tokenizer, monkeypatch):
    model = torch.nn.Identity()
    model.config = SimpleNamespace(model_type="endless")
    monkeypatch.setattr(tiny_tokenizer, "model_max_length", int(1e30))
    with pytest.raises(ModelError, match=r"'endless'.*model_max_length"):
        model_max_tokens(model, tiny_tokenizer)


def test_longest_input_is_the_users_within_the_models(tiny_model, tiny_tokenizer):
    model = tiny_model("bert")
    assert longest_input(model, tiny_tokenizer, None) == 64
    assert longest_input(model, tiny_tokenizer, 32) == 32
    with pytest.raises(RunError, match="64 tokens"):
        longest_input(model, tiny_tokenizer, 65)


def test_longest_input_leaves_room_for_text(tiny_model, tiny_tokenizer):
    assert longest_input(tiny_model("bert"), tiny_tokenizer, 3) == 3  # [CLS], one piece, [SEP]
    for tokens in (-5, 0, 1, 2):
        with pytest.raises(RunError, match=f"--max-tokens {tokens} leaves no text: give 3 or more"):
            longest_input(tiny_model("bert"), tiny_tokenizer, tokens)
