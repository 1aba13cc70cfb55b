"""Sentence embeddings: pooled by hand, the same after saving, and a folder that sentence-transformers can read."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

from leanformer.encoders.lean import as_embedder, without_pooling
from leanformer.encoders.saving import save_model
from leanformer.encoders.sentence import Pooling, pooling_of, read_pooling
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.export.loading import load_classifier
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES, build_embedder, build_model, padded_texts

ODD = {(0, "head"): torch.tensor([0.0, 1, 1, 1]), (1, "neuron"): torch.tensor([1.0, 0] * 32)}
BATCH = padded_texts([11, 7, 1])


def vectors(model, batch=BATCH):
    with torch.no_grad():
        return model(**batch).logits


def test_pooling_by_hand():
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[0.0, 4.0], [9.0, 9.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert Pooling("mean")(states, mask).tolist() == [[2.0, 4.0], [0.0, 4.0]]
    assert Pooling("cls")(states, mask).tolist() == [[1.0, 2.0], [0.0, 4.0]]
    unit = Pooling("mean", normalised=True)(states, mask)
    torch.testing.assert_close(unit, functional.normalize(torch.tensor([[2.0, 4.0], [0.0, 4.0]])))
    assert Pooling("mean")(states, None)[1].tolist() == pytest.approx([6.0, 22 / 3])


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_vector_is_the_pooled_encoder(family):
    bare = build_model(family, AutoModel)
    model = as_embedder(bare, Pooling("mean"))
    with torch.no_grad():
        states = bare(**BATCH).last_hidden_state
    expected = torch.stack([states[row, :length].mean(dim=0) for row, length in enumerate((11, 7, 1))])
    torch.testing.assert_close(vectors(model), expected, atol=1e-6, rtol=0)
    assert EncoderView(model).head_modules() == []


@pytest.mark.parametrize("family", TINY_FAMILIES)
@pytest.mark.parametrize("sliced", [False, True], ids=["plain", "lean"])
def test_saved_as_a_bare_encoder_and_the_same_again(family, sliced, tiny_tokenizer, tmp_path):
    pooling = Pooling("mean", True, 48, {"prompts": {"query": "ask: "}})
    model = build_embedder(family, pooling)
    model = slice_units(model, ODD) if sliced else model
    assert save_model(model, tiny_tokenizer, tmp_path) == ("lean" if sliced else "plain")
    assert read_pooling(str(tmp_path)) == pooling
    again, tokenizer = load_classifier(tmp_path)
    assert type(again) is type(model)
    assert pooling_of(again.config) == pooling
    assert tokenizer.model_max_length == 48
    torch.testing.assert_close(vectors(again), vectors(model), atol=1e-6, rtol=0)
    bare = AutoModel.from_pretrained(tmp_path).eval()  # what sentence-transformers does
    assert type(bare) is type(without_pooling(model))
    with torch.no_grad():
        states = bare(**BATCH).last_hidden_state
    torch.testing.assert_close(pooling(states, BATCH["attention_mask"]), vectors(model), atol=1e-6, rtol=0)


def test_what_sentence_transformers_reads(tiny_tokenizer, tmp_path):
    save_model(build_embedder("bert", Pooling("cls", True, 48)), tiny_tokenizer, tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [(module["idx"], module["path"]) for module in modules] == [
        (0, ""),
        (1, "1_Pooling"),
        (2, "2_Normalize"),
    ]
    assert [module["type"].rpartition(".")[2] for module in modules] == [
        "Transformer",
        "Pooling",
        "Normalize",
    ]
    assert json.loads((tmp_path / "1_Pooling" / "config.json").read_text()) == {
        "word_embedding_dimension": 32,
        "pooling_mode_mean_tokens": False,
        "pooling_mode_cls_token": True,
    }
    assert json.loads((tmp_path / "sentence_bert_config.json").read_text())["max_seq_length"] == 48
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["BertModel"]


@pytest.mark.parametrize("sliced", [False, True], ids=["plain", "lean"])
def test_sentence_transformers_loads_it(sliced, tiny_tokenizer, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    model = build_embedder("bert")
    model = slice_units(model, ODD) if sliced else model
    save_model(model, tiny_tokenizer, tmp_path)
    texts = ["the film was good", "a dog"]
    loaded = library.SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=sliced)
    batch = tiny_tokenizer(texts, padding=True, return_tensors="pt")
    np.testing.assert_allclose(loaded.encode(texts), vectors(model, batch).numpy(), atol=1e-5)


def change(folder, name, **fields):
    path = folder / name
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **fields}))


def test_what_is_not_supported_is_refused(tiny_tokenizer, tmp_path):
    save_model(build_embedder("bert"), tiny_tokenizer, tmp_path)
    change(tmp_path, "1_Pooling/config.json", pooling_mode_max_tokens=True)
    with pytest.raises(ModelError, match="pools by pooling_mode_mean_tokens, pooling_mode_max_tokens"):
        read_pooling(str(tmp_path))
    change(tmp_path, "1_Pooling/config.json", pooling_mode_max_tokens=False)
    change(tmp_path, "config_sentence_transformers.json", default_prompt_name="query")
    with pytest.raises(ModelError, match="prompt 'query'"):
        read_pooling(str(tmp_path))
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.Dense"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="Transformer, Pooling, Dense"):
        read_pooling(str(tmp_path))
    (tmp_path / "modules.json").write_text("[")
    with pytest.raises(ModelError, match="no JSON"):
        read_pooling(str(tmp_path))


def test_newer_pooling_files_name_the_mode(tiny_tokenizer, tmp_path):
    save_model(build_embedder("bert"), tiny_tokenizer, tmp_path)
    (tmp_path / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 32, "pooling_mode": "cls"}')
    assert read_pooling(str(tmp_path)) == Pooling("cls", True)


def test_a_plain_encoder_says_nothing_of_its_pooling(tiny_model_folder):
    assert read_pooling(str(tiny_model_folder)) is None
