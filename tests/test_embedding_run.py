"""Whole runs on a tiny model of sentence embeddings: trained and not, checked, loaded, refused."""

import json

import numpy as np
import pytest

import leanformer
from leanformer.budget import Budget
from leanformer.errors import BudgetError, ModelError
from leanformer.job import Job
from leanformer.pipeline import fine_tune_dense, run_job
from leanformer.reading import Reading
from leanformer.recheck import check_run
from leanformer.report.loading import doors
from leanformer.report.page import render
from leanformer.tasks.load import DataSpec
from tiny import build_embedder, similar_pairs, write_csv

HEADER = ("sentence1", "sentence2", "score")


@pytest.fixture
def alike(tmp_path, tiny_tokenizer):
    """A saved tiny model of sentence embeddings, and pairs with a score."""
    from leanformer.encoders.saving import save_model

    save_model(build_embedder("bert", layers=2), tiny_tokenizer, tmp_path / "embedder")
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data" / "train.csv", HEADER, similar_pairs(90, seed=1))
    write_csv(tmp_path / "data" / "validation.csv", HEADER, similar_pairs(40, seed=2))

    def job(method, ratio=0.5, granularity="unit", **fields):
        spec = DataSpec(str(tmp_path / "data"), kind=fields.pop("kind", "embedding"))
        given = {"threads": 1, "quick": True, "exports": (), "timing": False, **fields}
        return Job(str(tmp_path / "embedder"), spec, Budget(ratio), method, granularity, **given)

    return job


def test_a_distilled_run(alike, tmp_path):
    record = run_job(alike("drop-layers", granularity="layer"), tmp_path / "run")
    assert (record["task"]["kind"], record["metric"], record["n"]) == ("embedding", "spearman_cosine", 40)
    assert record["door"] == "plain"
    assert record["training"]["teacher_seconds"] == 0  # it arrives trained
    assert 0 < record["cosine_change"]["mean"] <= record["cosine_change"]["p95"]
    assert json.loads((tmp_path / "run" / "contract.json").read_text())["flips"] is None
    loaded = leanformer.load(tmp_path / "run")
    batch = loaded.tokenizer(["the film"], return_tensors="pt")
    assert np.linalg.norm(loaded.model(**batch).logits.detach().numpy()) == pytest.approx(1.0, abs=1e-5)
    page = render(record)
    assert "Pairs whose similarity moved" in page
    assert f"moved by {record['cosine_change']['mean']:.3f} on average" in page
    assert "SentenceTransformer" in doors(record, "model")[0].code
    assert "sentence-similarity" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_merging_run_is_checked_again(alike, tmp_path):
    record = run_job(alike("token-merge", 0.2, "token", timing=True, limit_s=0.0), tmp_path / "run")
    assert record["pruning_ratio_reached"] == pytest.approx(0.2, abs=0.02)
    assert record["layers"][1]["tokens"] < record["layers"][0]["tokens"] < 1
    assert record["compressed"]["parameters"] == record["dense"]["parameters"]
    assert [door.name.partition(",")[2] for door in doors(record, "model")] == [
        " with leanformer installed",
        " without leanformer: the code carried in the folder",
    ]
    checked = check_run(tmp_path / "run", Reading(), rounds=2, limit_s=0.0)
    assert checked.n == 40
    score = next(term for term in checked.terms if term.name == "score")
    assert score.kept


def test_what_does_not_fit_is_refused(alike, tmp_path):
    with pytest.raises(BudgetError, match="taylor-heads goes by labels"):
        run_job(alike("taylor-heads", granularity="head"), tmp_path / "run")
    with pytest.raises(BudgetError, match="token-merge is for models of sentence embeddings"):
        run_job(alike("token-merge", granularity="token", kind="regression"), tmp_path / "run")
    with pytest.raises(ModelError, match="leave --finetune out"):
        run_job(alike("drop-layers", granularity="layer", finetune=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_else_could_be_meant_is_said(alike, tmp_path, monkeypatch):
    """The same folder and data may also make a model that reads both texts at once."""
    said = []
    monkeypatch.setattr("leanformer.pipeline.say", said.append)
    for kind in ("embedding", "regression"):
        fine_tune_dense(alike("drop-layers", granularity="layer", kind=kind), tmp_path / kind)
    assert "--kind embedding" not in " ".join(said)
    fine_tune_dense(alike("drop-layers", granularity="layer", kind=None), tmp_path / "guessed")
    assert "--kind embedding compresses its embeddings" in " ".join(said)
