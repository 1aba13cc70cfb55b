"""The model card parses as the hub parses it, and claims only what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from report_example import example_result

from leanformer.report.card import model_card


def test_the_front_matter_is_read_by_the_hub(result: dict[str, Any]) -> None:
    data = ModelCard(model_card(result)).data
    assert data.base_model == "example-org/MiniLM-L12"
    assert data.to_dict()["base_model_relation"] == "finetune"
    assert data.pipeline_tag == "text-classification"
    assert {"leanformer", "ae-bert"} <= set(data.tags)
    assert data.license is None
    assert [(one.dataset_split, one.metric_value) for one in data.eval_results] == [
        ("validation", 0.7941),
        ("test", 0.7838),
    ]


def test_the_measured_table_and_the_standing_of_the_method(result: dict[str, Any]) -> None:
    card = model_card(result).replace("\u00a0", " ")
    assert "| accuracy | 80.1 (76.2 to 83.8) | 79.4 (75.5 to 83.1) |" in card
    assert "| speed, PyTorch fp32, batch 1 | 1.00× | 1.86× (1.79 to 1.94) |" in card
    assert "arXiv 2206.10461" in card
    assert "this is a reconstruction" in card
    assert "seed 0" in card
    assert "Example CPU" in card
    assert "trust_remote_code=True" in card


def test_what_is_unknown_is_left_out(bare_result: dict[str, Any]) -> None:
    card = model_card(bare_result)
    data = ModelCard(card).data.to_dict()
    assert "base_model" not in data
    assert "base_model_relation" not in data
    assert "license" not in data
    assert "None" not in card
    assert "arXiv" not in card


def test_a_known_license_is_kept(result: dict[str, Any]) -> None:
    assert ModelCard(model_card(result | {"license": "mit"})).data.license == "mit"


@pytest.mark.parametrize("model", ["/home/someone/model", "./model", "a/b/c", "../x"])
def test_a_path_is_no_base_model(model: str, result: dict[str, Any]) -> None:
    assert "base_model:" not in model_card(result | {"model": model})


def test_a_folder_that_looks_like_an_id_is_no_base_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any]
) -> None:
    (tmp_path / "models" / "minilm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "base_model:" not in model_card(result | {"model": "models/minilm"})


def test_a_regression_names_the_metric_as_the_hub_does() -> None:
    data = ModelCard(model_card(example_result(kind="regression", pair=True))).data
    assert data.eval_results[0].metric_type == "spearmanr"


def test_a_tagger_is_filed_and_loaded_as_one(result: dict[str, Any]) -> None:
    tagging = {**result["task"], "kind": "token-classification", "labels": ["O", "B-name", "I-name"]}
    card = model_card(result | {"task": tagging, "metric": "span-f1"})
    data = ModelCard(card).data
    assert data.pipeline_tag == "token-classification"
    assert {(one.task_type, one.metric_type) for one in data.eval_results} == {("token-classification", "f1")}
    assert 'pipeline("token-classification", ' in card
    assert 'aggregation_strategy="first"' in card


def test_a_model_that_answers_questions_is_filed_as_one(result: dict[str, Any]) -> None:
    asking = {**result["task"], "kind": "question-answering", "labels": ["start", "end"], "pair": True}
    card = model_card(result | {"task": asking, "metric": "answer-f1"})
    data = ModelCard(card).data
    assert data.pipeline_tag == "question-answering"
    assert {(one.task_type, one.metric_type) for one in data.eval_results} == {("question-answering", "f1")}
    assert "AutoModelForQuestionAnswering.from_pretrained" in card
