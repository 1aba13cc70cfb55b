"""leanformer debias: a run of each method from the command line to its page, after a kill, and what it refuses."""

import json
import re

import pytest
import torch
from transformers import AutoModelForMaskedLM

from leanformer.api import debias
from leanformer.audit.words import TESTS
from leanformer.debias import movement
from leanformer.encoders.saving import save_model
from leanformer.errors import DataError
from leanformer.tasks.heads import load_model
from leanformer.tasks.task import Task
from tiny import build_embedder, build_model, build_rows, build_tokenizer, similar_pairs, write_csv

SENTENCES = (
    "The old {} was here with a dog.",
    "We saw that {} in the city on a day of rain.",
    "It was a {} that came to the table.",
    "Then there was a {} in the film and no music.",
)
WORDS = {
    "male": ("man", "boy", "king", "father", "son"),
    "female": ("woman", "girl", "queen", "mother", "wife"),
    "target": ("nurse", "engineer", "music", "science", "family"),
}
CORPUS = [text.format(word) for text in SENTENCES * 4 for kind in WORDS.values() for word in kind]
HEADER = ("sentence1", "sentence2", "score")
QUICK = ("--threads", 1)
MOVEMENT = (*QUICK, "--option", "steps=10", "--option", "batch=16", "--option", "sentences=120")
DISTILLATION = (*QUICK, "--method", "fair-distillation", "--option", "batch=16", "--option", "rows=100")


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for module in ("leanformer.auditing", "leanformer.debias.judging"):
        monkeypatch.setattr(f"{module}.TESTS", TESTS[2:])  # the one with the fewest words
    (tmp_path / "wiki.txt").write_text("\n".join(CORPUS) + "\n", encoding="utf-8")
    (tmp_path / "pairs").mkdir()
    for number, split in enumerate(("train", "validation"), start=1):
        write_csv(tmp_path / "pairs" / f"{split}.csv", HEADER, similar_pairs(80, number))


@pytest.fixture
def embedder(tmp_path):
    save_model(build_embedder("bert"), build_tokenizer(), tmp_path / "embedder")
    return tmp_path / "embedder"


@pytest.fixture
def language_model(tmp_path):
    build_model("bert", AutoModelForMaskedLM, layers=4).save_pretrained(tmp_path / "mlm")
    build_tokenizer().save_pretrained(tmp_path / "mlm")
    return tmp_path / "mlm"


def movement_call(*more):
    pairs = ("--data", "pairs", "--kind", "embedding")
    return (
        "debias",
        "embedder",
        "--corpus",
        "wiki.txt",
        *pairs,
        "--out",
        "out",
        "--levels",
        "0.1,0.3",
        *MOVEMENT,
        *more,
    )


def test_a_curve_a_model_and_a_page(call, embedder, tmp_path):
    done = call(*movement_call("--max-drop", "100", "--json"))
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    out = tmp_path / "out"
    assert record == json.loads((out / "debias.json").read_text())
    assert [one["level"] for one in record["levels"]] == [0.1, 0.3]
    shares = [one["closed"]["share"] for one in record["levels"]]
    assert shares == pytest.approx([0.1, 0.3], abs=0.06)
    own = [one["own"]["value"] for one in record["levels"]]
    assert record["chosen"] == own.index(min(own))
    assert record["words"]["sentences"] == {"male": 15, "female": 15, "target": 30}  # a tenth a word
    assert not (out / ".checkpoints").exists()
    model, _, _ = load_model(
        str(out / "model"), Task("pairs", "embedding", True, (), "spearman_cosine"), False
    )
    chosen = record["levels"][record["chosen"]]["closed"]["kinds"]
    left = [len(one["head_kept"]) - sum(one["head_kept"]) for one in record["layers"]]
    assert sum(left) == chosen["head"]["closed"]
    assert model.config.hidden_size == 32
    page = (out / "debias.html").read_text()
    assert page.count('class="picture marks"') == 2
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    shown = call(*movement_call("--max-drop", "100", "--resume"))
    assert "chosen" in shown.stdout
    assert "own word tests" in " ".join(shown.stdout.split())


def test_a_killed_run_goes_on_and_ends_alike(call, embedder, tmp_path, monkeypatch):
    whole = call(*movement_call("--json"))
    (tmp_path / "out").rename(tmp_path / "whole")
    choose = movement.choice

    def die(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(movement, "choice", die)
    assert call(*movement_call()).exit_code == 130
    assert (tmp_path / "out" / "level-0.3.safetensors").is_file()
    monkeypatch.setattr(movement, "choice", choose)
    resumed = call("debias", "--resume", "--out", "out", "--json")
    first, second = json.loads(whole.stdout), json.loads(resumed.stdout)
    for one in (first, second):
        for level in one["levels"]:
            del level["training"]["seconds"]
    for key in ("levels", "chosen", "dense", "bias", "layers", "command"):
        assert first[key] == second[key], key


def test_where_no_level_keeps_the_score_it_says_so(call, embedder, monkeypatch):
    choose = movement.choice
    monkeypatch.setattr(movement, "choice", lambda levels, most: choose(levels, -1000.0))
    done = call(*movement_call())
    assert done.exit_code == 1, done.output
    assert "No level loses at most 1 point" in " ".join(done.stdout.split())


def test_a_classifier_is_debiased_with_its_head(call, tmp_path):
    save_model(build_model("distilbert"), build_tokenizer(), tmp_path / "classifier")
    (tmp_path / "moods").mkdir()
    for number, split in enumerate(("train", "validation"), start=1):
        rows = [(text, str(int(label == "positive"))) for text, label in build_rows(60, number)]
        write_csv(tmp_path / "moods" / f"{split}.csv", ("sentence", "label"), rows)
    call_ = ("debias", "classifier", "--corpus", "wiki.txt", "--data", "moods", "--levels", "0.2", *MOVEMENT)
    done = call(*call_, "--granularity", "block", "--max-drop", "100", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metric"] == "accuracy"


def test_a_student_and_its_control(call, language_model, tmp_path):
    (tmp_path / "groups.txt").write_text("film movie\ncity dog\n")
    done = call(
        "debias",
        "mlm",
        "--corpus",
        "wiki.txt",
        "--groups",
        "groups.txt",
        "--out",
        "out",
        *DISTILLATION,
        "--json",
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["groups"]["words"] == [["film", "movie"], ["city", "dog"]]
    assert record["layers"] == {"teacher": 4, "student": 2}
    assert record["bias"]["models"] == ["teacher", "student"]
    assert record["against_control"]["models"] == ["control", "student"]
    names = [one["metric"] for one in record["bias"]["figures"]]
    assert names[:2] == ["loss of masked words", "words of a group apart"]
    assert "DisCo" in names
    out = tmp_path / "out"
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    models = [AutoModelForMaskedLM.from_pretrained(out / name).eval() for name in ("model", "control")]
    assert models[0].config.num_hidden_layers == 2
    assert not torch.equal(models[0](ids).logits, models[1](ids).logits)
    assert "What the groups did" in (out / "debias.html").read_text()
    again = call("debias", "--resume", "--out", "out")
    assert "tells the words of a group apart" in " ".join(again.stdout.split())


def test_python_gives_what_the_command_writes(language_model, tmp_path):
    (tmp_path / "groups.txt").write_text("film movie\ncity dog\n")
    settings = {
        "method": "fair-distillation",
        "groups": "groups.txt",
        "threads": 1,
        "options": {"batch": 16, "rows": 100},
    }
    record = debias(language_model, "wiki.txt", out="fairer", **settings)
    assert record == json.loads((tmp_path / "fairer" / "debias.json").read_text())
    with pytest.raises(DataError, match=r"there is no text nowhere\.txt"):
        debias(language_model, "nowhere.txt", out="other", **settings)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--corpus", "nowhere.txt"), "there is no text nowhere.txt"),
        (("--corpus", "bare.txt"), "0 with a male word, 0 with a female word"),
        (("--levels", "a,b"), "is no list of numbers"),
        (("--levels", "2"), "no share of the weights"),
        (("--option", "steps"), "is no setting"),
        (("--option", "words=nowhere.json"), "nowhere.json is no list of words"),
        (("--suite-data", "nowhere"), "there is no folder nowhere"),
        (("--kind", "regression"), "has no head for the task"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(call, embedder, tmp_path, more, sentence):
    (tmp_path / "bare.txt").write_text("It was a day of rain in the city.\n" * 20)
    done = call(*movement_call(*more))
    assert done.exit_code == 2, done.output
    said = " ".join(done.output.split())
    assert sentence in said
    assert len(re.findall("error:", said)) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "corpus", "more", "sentence"),
    [
        ("embedder", "wiki.txt", (), "fair-distillation takes a masked LM"),
        ("mlm", "wiki.txt", (), "none of the 61 groups has two words"),
        ("mlm", "bare.txt", ("--groups", "groups.txt"), "there is nothing to make equal"),
        ("mlm", "few.txt", ("--groups", "groups.txt"), "5 are the fewest"),
        ("mlm", "wiki.txt", ("--groups", "groups.txt", "--option", "layers=9"), "can not have 9 of 4 layers"),
        ("mlm", "wiki.txt", ("--data", "pairs"), "leave --data out"),
    ],
)
def test_a_distillation_that_can_not_be_is_refused(
    call, embedder, language_model, tmp_path, model, corpus, more, sentence
):
    (tmp_path / "groups.txt").write_text("film movie\n")
    (tmp_path / "bare.txt").write_text("It was a day of rain in the city.\n" * 20)
    (tmp_path / "few.txt").write_text("It was a day of rain in the city with a film.\n")
    done = call("debias", model, "--corpus", corpus, "--out", "out", *DISTILLATION, *more)
    assert done.exit_code == 2, done.output
    assert sentence in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_nothing_named_is_refused(call):
    for arguments, sentence in (
        (("--corpus", "wiki.txt"), "no model is given"),
        (("embedder",), "add --corpus"),
        (("embedder", "--corpus", "wiki.txt"), "add --data"),
        (("--resume",), "is not a run of leanformer"),
    ):
        done = call("debias", *arguments, "--out", "out")
        assert done.exit_code == 2
        assert sentence in " ".join(done.output.split())
