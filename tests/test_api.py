"""The Python face: compress, load, save."""

import numpy as np
import pytest
import torch

import leanformer
from leanformer import Budget
from leanformer.api import audit, load
from leanformer.errors import BudgetError, DataError, ModelError, RunError
from leanformer.tasks.load import DataSpec


@pytest.fixture(scope="module")
def result(tmp_path_factory, tiny_tokenizer):
    from tiny import build_model, build_rows, write_csv

    folder = tmp_path_factory.mktemp("api")
    build_model("electra").save_pretrained(folder / "electra")
    tiny_tokenizer.save_pretrained(folder / "electra")
    (folder / "reviews").mkdir()
    write_csv(folder / "reviews" / "train.csv", ("sentence", "label"), build_rows(120, seed=1))
    return leanformer.compress(
        folder / "electra",
        DataSpec(str(folder / "reviews"), metric="f1"),
        Budget(pruning_ratio=0.4),
        method="uniform-magnitude",
        seed=3,
        out=folder / "run",
        exports=(),
        threads=1,
        quick=True,
    )


def test_result_tells_the_score_and_where_everything_is(result):
    assert result.score.metric == "f1"
    assert result.score.value == result.record["compressed"]["score"]
    assert result.report.is_file()
    assert result.record["seed"] == 3
    assert result.record["pruning_ratio_reached"] == pytest.approx(0.4, abs=0.005)


def test_head_that_matches_is_used_as_it_is(result):
    before = load(result.folder / "teacher").model.state_dict()
    start = load(result.record["model"]).model.state_dict()
    assert all(torch.equal(before[name], weights) for name, weights in start.items())
    assert "finetune" not in result.record["command"]


def test_model_answers(result):
    inputs = result.tokenizer(["a good film", "a bad film"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        assert result.model(**inputs).logits.shape == (2, 2)
    assert not result.model.training


def test_saved_model_loads_with_the_same_answers(result, tmp_path):
    folder = result.save(tmp_path / "deep" / "small")
    loaded = load(folder)
    inputs = loaded.tokenizer(["a good film"], return_tensors="pt")
    with torch.inference_mode():
        answers = [
            model(**inputs).logits.numpy()
            for model in (result.model, loaded.model, load(result.folder).model)
        ]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
    assert (folder / "README.md").is_file()


def test_save_does_not_overwrite(result, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="not empty"):
        result.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_load_keeps_the_kind_of_head(tiny_model_folder):
    assert type(load(tiny_model_folder).model).__name__ == "BertModel"


def test_load_of_something_else(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        load(tmp_path)


def test_refused_run_leaves_no_folder(tiny_model_folder, tiny_task, tmp_path):
    with pytest.raises(BudgetError):
        leanformer.compress(
            tiny_model_folder, tiny_task, Budget(0.999), granularity="weight", out=tmp_path / "run", threads=1
        )
    assert not (tmp_path / "run").exists()


def test_refused_run_without_out_leaves_no_folder_either(tiny_model_folder, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with pytest.raises(DataError, match="nowhere"):
        leanformer.compress(tiny_model_folder, "./nowhere", threads=1)
    assert list(scratch.iterdir()) == []


def test_load_of_broken_weights(tiny_model_folder):
    (tiny_model_folder / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(ModelError, match="can not be loaded"):
        load(tiny_model_folder)


def test_public_names_are_there():
    assert all(hasattr(leanformer, name) for name in leanformer.__all__)
    with pytest.raises(AttributeError):
        leanformer.nothing  # noqa: B018


def test_an_audit_is_what_the_command_writes(tiny_model_folder, tmp_path, monkeypatch):
    from leanformer.audit.words import TESTS

    monkeypatch.setattr("leanformer.auditing.TESTS", TESTS[2:])
    (tmp_path / "scan.txt").write_text("She is a nurse. " * 6)
    record = audit(tiny_model_folder, scan=tmp_path / "scan.txt", threads=1)
    assert record["models"] == [str(tiny_model_folder)]
    assert record["detector"][0]["used"] == 6
    assert record["flow"] == [None]
    assert {"WEAT, words alone", "SEAT, sentences"} <= {one["metric"] for one in record["figures"]}
    with pytest.raises(DataError, match="add --data"):
        audit(tiny_model_folder, group="sex")
    with pytest.raises(TypeError, match="depth"):
        audit(tiny_model_folder, depth=3)
