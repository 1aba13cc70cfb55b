"""What every compression measures of bias."""

import json

import pytest
from datasets import Dataset

from leanformer.audit import answers
from leanformer.audit.cheap import cheap_audit
from leanformer.structure.exits import with_exits
from leanformer.structure.tokens import with_kept_tokens
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


@pytest.mark.parametrize("shape", ["fewer tokens", "early exits"])
def test_models_whose_tokens_or_texts_leave_on_the_way_are_measured_too(
    tiny_model, tiny_tokenizer, mood_task, shape
):
    rows = rows_of([f"{who} is {mood}" for who in ("he", "she") for mood in MOODS * 3], tiny_tokenizer)
    dense = tiny_model("bert")
    small = with_kept_tokens(dense, (0.5, 0.5)) if shape == "fewer tokens" else with_exits(dense, (0,))
    answers = [predict(model, rows, tiny_tokenizer) for model in (dense, small)]
    record = cheap_audit((dense, small), answers, rows, tiny_tokenizer, mood_task)
    swap, seat = record["figures"][0], record["figures"][-1]
    assert all(one is not None for one in swap["values"])
    assert seat["metric"] == "SEAT, sentences"
    assert seat["values"][0] is not None
    assert seat["values"][1] is None
    assert "tokens or texts leave the model on the way" in record["unmeasured"][0]["reason"]


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
    monkeypatch.setattr(answers, "MOST_TEXTS", 12)
    record = measured(tiny_model, tiny_tokenizer, mood_task, ["he is good", "she is bad"] * 10)
    assert record["figures"][0]["values"][0]["n"] == 12
    assert record["between"][2]["n"] == 20  # flips are of all texts
    monkeypatch.setattr(answers, "MOST_LETTERS", 115)
    record = measured(tiny_model, tiny_tokenizer, mood_task, ["he is good", "she is bad"] * 10)
    assert record["figures"][0]["values"][0]["n"] == 11  # of ten letters each, the male ones
