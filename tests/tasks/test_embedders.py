"""How a checkpoint that does not say how it pools is read, and how long its texts may be."""

from leanformer.encoders.saving import save_model
from leanformer.encoders.sentence import Pooling
from leanformer.tasks import embedders
from leanformer.tasks.embedders import settle_pooling
from tiny import build_config, build_embedder, build_model, build_tokenizer


def test_a_plain_encoder_gets_the_mean_and_it_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(embedders, "say", said.append)
    build_model("bert").save_pretrained(tmp_path)
    tokenizer = build_tokenizer()
    longest = tokenizer.model_max_length
    assert settle_pooling(str(tmp_path), build_config("bert"), tokenizer) == Pooling()
    assert ["the mean of its tokens' states is taken" in words for words in said] == [True]
    assert tokenizer.model_max_length == longest


def test_a_folder_of_sentence_transformers_says_how_long_texts_may_be(tmp_path):
    model, tokenizer = build_embedder("bert"), build_tokenizer()
    save_model(model, tokenizer, tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 17, "do_lower_case": false}')
    pooling = settle_pooling(str(tmp_path), model.config, tokenizer)
    assert pooling.mode == "mean"
    assert tokenizer.model_max_length == 17
