"""--first-token and --eager-attention of export and bench."""

import json

import pytest

from leanformer.encoders.saving import save_model


@pytest.fixture
def classifier(tiny_model, tiny_tokenizer, tmp_path):
    save_model(tiny_model("bert"), tiny_tokenizer, tmp_path / "classifier")
    return tmp_path / "classifier"


def test_export_writes_the_form_and_evaluate_reads_it(call, classifier, workshop):
    done = call("export", classifier, "--first-token", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["exports"]
    assert (row["form"], row["path"]) == ("first-token", "onnx/model_first_token.onnx")
    assert row["max_difference"] <= 1e-5
    scores = [
        json.loads(call("evaluate", source, "--data", workshop / "reviews", "--json").stdout)["score"]
        for source in (classifier, classifier / row["path"])
    ]
    assert scores[0] == scores[1]


def test_bench_enumerates_the_forms(call, monkeypatch):
    asked = []

    def bench_models(models, batch, rounds, reading, limit_s, precisions, memory, forms):
        asked.append(forms)
        return []

    monkeypatch.setattr("leanformer.benching.bench_models", bench_models)
    for flags in ([], ["--first-token"], ["--first-token", "--eager-attention"]):
        assert call("bench", "model", *flags, "--json").exit_code == 0
    assert [len(forms) for forms in asked] == [1, 2, 4]
    assert [forms[-1] for forms in asked] == ["", "first-token", "first-token+eager-attention"]


@pytest.mark.parametrize("verb", ["export", "bench"])
def test_a_form_that_a_model_has_not_is_one_sentence(
    call, tiny_model, tiny_tokenizer, tmp_path, workshop, verb
):
    model = tiny_model("modernbert")
    model.config.classifier_pooling = "mean"
    save_model(model, tiny_tokenizer, tmp_path / "mean")
    done = call(verb, tmp_path / "mean", "--first-token", "--data", workshop / "reviews")
    assert done.exit_code == 2
    assert "pools over all tokens (classifier_pooling is 'mean')" in done.stderr
    assert not (tmp_path / "mean" / "onnx").exists()
