"""leanformer audit: what it measures, what it says it can not, and what it refuses."""

import json

import pytest
import torch
from transformers import AutoModelForMaskedLM

from leanformer.audit import detector, flow
from leanformer.audit.words import TESTS
from leanformer.export.exporters import export_onnx
from tiny import build_config, build_model, build_tokenizer, write_csv

QUICK = ("--threads", 1)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leanformer.auditing.TESTS", TESTS[2:])  # the one with the fewest words


def saved(model, folder):
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def language_model(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return saved(AutoModelForMaskedLM.from_config(build_config("bert")), tmp_path / "mlm")


@pytest.fixture
def texts(tmp_path):
    moods = {"positive": ("good", "great", "fine"), "negative": ("bad", "poor", "dull")}
    rows = [
        (f"{who} is {mood} {letter}", label, who)
        for who in ("he", "she")
        for label, words in moods.items()
        for mood in words
        for letter in "abcd"
    ]
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        write_csv(tmp_path / "data" / f"{split}.csv", ("sentence", "label", "sex"), rows)
    return tmp_path / "data"


def test_an_encoder_alone_is_measured_and_the_rest_is_listed(call, tiny_model_folder, tmp_path):
    done = call("audit", tiny_model_folder, *QUICK, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((tmp_path / "audit.json").read_text()) | {"file": "audit.json"}
    assert [one["metric"] for one in record["figures"]] == [
        "WEAT, words alone",
        "SEAT, sentences",
        "SEAT, target tokens",
    ]
    reasons = {one["metric"]: one["reason"] for one in record["unmeasured"]}
    assert "no head for masked words" in reasons[next(name for name in reasons if "DisCo" in name)]
    for flag in ("--data", "--scan", "--suite-data"):
        assert any(flag in reason for reason in reasons.values())


def test_two_models_stand_side_by_side(call, tiny_model_folder, language_model, tmp_path):
    (tmp_path / "scan.txt").write_text("She is a nurse. " * 6 + "\n")
    done = call(
        "audit",
        language_model,
        "--against",
        tiny_model_folder,
        "--scan",
        "scan.txt",
        "--flow",
        "--out",
        "a.json",
        *QUICK,
    )
    assert done.exit_code == 0, done.output
    assert "difference" in done.stdout
    assert "written to a.json" in done.stdout
    record = json.loads((tmp_path / "a.json").read_text())
    assert [found["used"] for found in record["detector"]] == [6, 6]
    figures = {(one["metric"], one["subject"]): one for one in record["figures"]}
    assert figures["relation degree in attention", "mean size of bias over heads"]["change"] is not None
    assert figures["bias at the encoder's positions", "mean of all positions"]["change"] is not None
    assert [flow["used"] for flow in record["flow"]] == [6, 6]
    assert [one["claim"][:11] for one in record["flow"][0]["findings"]] == [
        "W_q and W_k",
        "bias change",
        "queries, ke",
        "the average",
    ]
    assert done.stdout.count("W_q and W_k introduce much more bias") == 2
    first, second = figures["DisCo", "first names"]["values"]
    assert first["n"] == 30
    assert second is None


def test_a_task_model_is_asked_about_twins_and_groups(call, texts, tmp_path):
    model = saved(build_model("bert"), tmp_path / "classifier")
    done = call("audit", model, "--data", texts, "--group", "sex", *QUICK, "--json")
    assert done.exit_code == 0, done.output
    figures = {(one["metric"], one["subject"]): one for one in json.loads(done.stdout)["figures"]}
    assert figures["swap gap", "size, in P(positive)"]["values"][0]["n"] == 48
    assert figures["true-positive-rate gap", "root mean square"]["values"][0]["note"] == "he less she"


def test_an_exported_file_is_asked_for_its_answers_alone(call, texts, tmp_path):
    model = saved(build_model("bert"), tmp_path / "classifier")
    path = export_onnx(model, tmp_path).path
    done = call("audit", model, "--against", path, "--data", texts, "--group", "sex", *QUICK, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    figures = {one["metric"]: one for one in record["figures"]}
    first, second = figures["swap gap"]["values"]
    assert second["value"] == pytest.approx(first["value"], abs=1e-4)
    assert figures["WEAT, words alone"]["values"][1] is None
    reasons = {one["metric"]: one["reason"] for one in record["unmeasured"]}
    assert any("an exported file gives answers and nothing else" in reason for reason in reasons.values())


def test_a_killed_scan_goes_on_and_ends_alike(call, tiny_model_folder, tmp_path, monkeypatch):
    (tmp_path / "scan.txt").write_text("She is a nurse. He was a guard. " * 9 + "\n")
    arguments = ("audit", tiny_model_folder, "--scan", "scan.txt", "--flow", *QUICK, "--out")
    for module in (detector, flow):
        monkeypatch.setattr(module, "BATCH", 4)
    whole = call(*arguments, "whole.json")
    assert whole.exit_code == 0, whole.output
    asked, real = [], detector.tokens_and_weights

    def dies(*given):
        asked.append(given)
        if len(asked) == 7:  # five batches of the scan; the second one of the flow
            raise KeyboardInterrupt
        return real(*given)

    for module in (detector, flow):
        monkeypatch.setattr(module, "tokens_and_weights", dies)
    assert call(*arguments, "parts.json").exit_code == 130
    assert not (tmp_path / "parts.json").exists()
    assert len(list((tmp_path / "parts.parts").glob("*.safetensors"))) == 6
    done = call(*arguments, "parts.json", "--resume")
    assert done.exit_code == 0, done.output
    assert len(asked) == 7 + 4
    assert json.loads((tmp_path / "parts.json").read_text()) == json.loads(
        (tmp_path / "whole.json").read_text()
    )
    assert not (tmp_path / "parts.parts").exists()


def test_parts_of_another_text_are_refused(call, tiny_model_folder, tmp_path, monkeypatch):
    (tmp_path / "scan.txt").write_text("She is a nurse. " * 6 + "\n")
    arguments = ("audit", tiny_model_folder, "--scan", "scan.txt", *QUICK)
    with monkeypatch.context() as context:
        context.setattr("leanformer.auditing.side_by_side", lambda *given: 1 / 0)
        assert call(*arguments).exit_code != 0
    (tmp_path / "scan.txt").write_text("He is a nurse. " * 7 + "\n")
    refused = call(*arguments, "--resume")
    assert refused.exit_code == 2
    assert "is of other models, texts or settings" in " ".join(refused.output.split())
    assert call(*arguments).exit_code == 0


def test_a_scan_that_finds_nothing_is_said(call, tiny_model_folder, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    done = call("audit", tiny_model_folder, "--scan", "empty.txt", *QUICK)
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "of 0 sentences 0 have a gender word" in said
    assert "too few words of" in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--suite-data", "nowhere"), "there is no folder nowhere"),
        (("--scan", "nowhere.txt"), "there is no text nowhere.txt"),
        (("--most", "0"), "leaves nothing to measure"),
        (("--flow",), "--flow follows gender words and occupations of a text: name one with --scan"),
        (("--group", "sex"), "add --data"),
        (("--resume",), "--resume goes on with an interrupted scan: name its text with --scan"),
        (("--out", "nowhere/audit.json"), "there is no folder nowhere"),
        (("--against", "./absent"), "no model folder absent"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(call, tiny_model_folder, tmp_path, options, sentence):
    done = call("audit", tiny_model_folder, *options, *QUICK)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert not (tmp_path / "audit.json").exists()


def test_a_group_that_is_no_column_is_refused(call, texts, tiny_model_folder):
    done = call("audit", tiny_model_folder, "--data", texts, "--group", "age", *QUICK)
    assert done.exit_code == 2
    assert "has no column 'age': it has sentence, label, sex" in " ".join(done.output.split())
