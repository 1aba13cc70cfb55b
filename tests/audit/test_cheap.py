"""What every compression measures of bias."""

import json

import numpy as np
from datasets import Dataset

from leanformer.audit import cheap
from leanformer.audit.cheap import cheap_audit
from leanformer.tasks.predict import predict
from tiny import encode_rows

MOODS = ("good", "bad", "great", "dull")


def rows_of(texts, tokenizer):
    return encode_rows([(text, "positive") for text in texts], tokenizer)


def measured(tiny_model, tokenizer, task, texts, **sizes):
    rows: Dataset = rows_of(texts, tokenizer)
    models = [tiny_model("bert"), tiny_model("bert", **sizes)]
    return cheap_audit(models, [predict(model, rows, tokenizer) for model in models], rows, tokenizer, task)


def test_a_model_against_itself_has_no_change(tiny_model, tiny_tokenizer, mood_task):
    texts = [f"{who} is {mood} {number}" for who in ("he", "she") for mood in MOODS for number in "abc"]
    record = measured(tiny_model, tiny_tokenizer, mood_task, texts)
    assert json.loads(json.dumps(record)) == record
    assert {one["metric"] for one in record["figures"]} == {
        "swap gap",
        "answers that a swap turns",
        "SEAT, sentences",
    }
    for one in record["figures"]:
        assert one["change"] == {"value": 0.0, "low": 0.0, "high": 0.0, "beyond": False}
    assert [one["value"] for one in record["between"]] == [0.0, 0.0, 0.0]
    assert record["figures"][0]["values"][0]["n"] == len(texts)


def test_another_model_has_other_figures(tiny_model, tiny_tokenizer, mood_task):
    texts = [f"{who} is {mood} {number}" for who in ("he", "she") for mood in MOODS for number in "abc"]
    record = measured(tiny_model, tiny_tokenizer, mood_task, texts, layers=1)
    assert record["figures"][0]["change"]["value"] != 0


def test_texts_without_gender_words_are_not_measured(tiny_model, tiny_tokenizer, mood_task):
    record = measured(tiny_model, tiny_tokenizer, mood_task, ["the film is good"] * 12)
    assert record["figures"] == record["between"] == []
    (missing,) = record["unmeasured"]
    assert missing["models"] == ["dense", "compressed"]
    assert "of the 12 texts have a gender word" in missing["reason"]


def test_of_many_texts_a_part_is_swapped(tiny_model, tiny_tokenizer, mood_task, monkeypatch):
    monkeypatch.setattr(cheap, "MOST_TEXTS", 12)
    record = measured(tiny_model, tiny_tokenizer, mood_task, ["he is good", "she is bad"] * 10)
    assert record["figures"][0]["values"][0]["n"] == 12
    assert np.isclose(record["between"][2]["n"], 20)  # flips are of all texts
