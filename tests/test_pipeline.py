"""Whole runs on tiny models: every kind of task, every granularity, several families."""

import random
from html import escape

import pytest

from leanformer.assess import evaluate
from leanformer.budget import Budget, Target
from leanformer.job import Job
from leanformer.pipeline import run_job
from leanformer.reading import Reading
from leanformer.recheck import check_run
from leanformer.report.words import verdict
from leanformer.tasks.load import DataSpec, load_data
from tiny import GOOD_WORDS, PLAIN_WORDS, build_model, build_sentences, write_conll, write_csv

TAGGING = [
    ("roberta", "ae-bert"),
    ("distilbert", "power-bert"),
    ("electra", "uniform-magnitude"),
    ("mpnet", "length-adaptive"),
    ("modernbert", "drop-layers"),
    ("xlm-roberta", "movement"),
]


def sentences(chooser, good):
    words = chooser.sample(PLAIN_WORDS, 6) + chooser.sample(GOOD_WORDS, good)
    return " ".join(chooser.sample(words, len(words)))


def write_pairs_with_values(folder):
    """Pairs and how many good words they have together: a regression."""
    chooser = random.Random(0)
    rows = []
    for number in range(160):
        parts = (number % 3, number % 4)
        rows.append((sentences(chooser, parts[0]), sentences(chooser, parts[1]), f"{sum(parts) / 2 + 0.25}"))
    write_csv(folder / "train.csv", ("sentence1", "sentence2", "score"), rows)


def write_three_classes(folder):
    chooser = random.Random(0)
    names = ("cold", "warm", "hot")
    rows = [(sentences(chooser, number % 3), names[number % 3]) for number in range(150)]
    write_csv(folder / "train.csv", ("text", "label"), rows)


@pytest.mark.parametrize(
    ("family", "write", "method", "granularity", "metric"),
    [
        ("distilbert", write_pairs_with_values, "ae-bert", "unit", "spearman"),
        pytest.param(
            "mpnet", write_three_classes, "ae-bert-random", "weight", "accuracy", marks=pytest.mark.thorough
        ),
        pytest.param(
            "modernbert",
            write_three_classes,
            "gradual-magnitude",
            "unit",
            "accuracy",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "roberta",
            write_pairs_with_values,
            "global-magnitude",
            "weight",
            "spearman",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_run(family, write, method, granularity, metric, tiny_tokenizer, tmp_path):
    build_model(family, num_labels=1).save_pretrained(tmp_path / family)
    tiny_tokenizer.save_pretrained(tmp_path / family)
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    job = Job(
        str(tmp_path / family),
        DataSpec(str(tmp_path / "data")),
        Budget(0.5),
        method,
        granularity,
        threads=1,
        finetune=True,
        quick=True,
        exports=(),
    )
    record = run_job(job, tmp_path / "run")
    assert record["metric"] == metric
    assert record["pruning_ratio_reached"] == pytest.approx(0.5, abs=0.005)
    assert record["training"]["teacher_seconds"] > 0
    assert (record["search"] is None) == ("ae-bert" not in method)
    dense, compressed = record["dense"], record["compressed"]
    if granularity == "weight":
        assert compressed["encoder_parameters"] == dense["encoder_parameters"]
        assert {"query", "ffn_out"} <= record["layers"][0]["matrix_ratio"].keys()
    else:
        assert compressed["encoder_parameters"] < dense["encoder_parameters"]


def test_a_model_that_arrives_trained_is_judged_on_rows_that_are_not_reported(
    tiny_tokenizer, tiny_task, tmp_path
):
    build_model("bert").save_pretrained(tmp_path / "ready")
    tiny_tokenizer.save_pretrained(tmp_path / "ready")
    target = Target("torch", "fp32")
    budget = Budget(pruning_ratio=0.3, max_drop_points=100.0)
    job = Job(
        str(tmp_path / "ready"),
        DataSpec(str(tiny_task)),
        budget,
        target=target,
        threads=1,
        quick=True,
        exports=(),
        limit_s=0.0,
    )
    record = run_job(job, tmp_path / "run")
    assert {row["rounds"] for row in record["bench"]} == {6}  # no second of timing beyond the fewest rounds
    validation = len(load_data(DataSpec(str(tiny_task))).validation)
    assert (record["judged_on"], record["n"]) == ("validation", validation - validation // 2)
    assert record["ladder"]["n"] == validation // 2
    assert f"judged it, and the figures are of the other {record['n']}" in str(verdict(record).notes)
    assert check_run(tmp_path / "run", Reading(), rounds=2, limit_s=1.0).n == record["n"]


@pytest.mark.parametrize(
    ("family", "method"),
    [("bert", "one-shot"), *(pytest.param(*case, marks=pytest.mark.thorough) for case in TAGGING)],
)
def test_tagged_words_from_data_to_report(family, method, tagged, tiny_tokenizer, tmp_path):
    build_model(family, layers=3).save_pretrained(
        tmp_path / family
    )  # its head is of texts: a new one is trained
    tiny_tokenizer.save_pretrained(tmp_path / family)
    (tagged / "validation.conll").rename(tagged / "test.conll")  # and a tenth of train is validation
    write_conll(tagged / "train.conll", build_sentences(1600, seed=3))
    spec, budget = DataSpec(str(tagged)), Budget(0.4)
    job = Job(str(tmp_path / family), spec, budget, method, threads=1, exports=(), limit_s=0.0)
    record = run_job(job, tmp_path / "run")
    assert (record["task"]["kind"], record["metric"], record["n"]) == ("token-classification", "span-f1", 160)
    assert record["dense"]["score"] > 0.2  # the words alone say it; chance is near 0
    assert record["dense"]["extra"].keys() == {"span-precision", "span-recall", "token-accuracy"}
    assert record["test"]["n"] == 40
    assert record["flips_total"] <= 160
    assert {row["score"] for row in record["bench"] if row["precision"] == "fp32"} == {
        record[model]["score"] for model in ("dense", "compressed")
    }
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "span-f1" in page
    assert all(escape(flip["lean_answer"]) in page for flip in record["flips"])
    card = (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")
    assert 'pipeline("token-classification"' in card
    found = evaluate(str(tmp_path / "run"), Reading())
    assert found.value == pytest.approx(record["compressed"]["score"])
    assert check_run(tmp_path / "run", Reading(), rounds=2, limit_s=1.0).n == 160
