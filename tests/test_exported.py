"""An exported file, asked alone: it answers as its model does, in the task's order of labels."""

import numpy as np
import pytest
from datasets import Dataset

from leanformer.errors import ModelError
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.exported import exported_file, open_exported
from leanformer.tasks.encode import encode
from leanformer.tasks.predict import predict
from leanformer.tasks.task import Task
from tiny import build_model, build_tokenizer

TEXTS = ["the film was good", "bad", "a very very sad story with music"]
MOOD = Task("mood", "classification", False, ("negative", "positive"), "accuracy")


def saved(folder):
    model, tokenizer = build_model("bert"), build_tokenizer()
    model.config.id2label = {0: "positive", 1: "negative"}
    model.config.label2id = {"positive": 0, "negative": 1}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("export", [export_onnx, export_openvino])
def test_a_file_answers_as_its_model_in_the_tasks_order(export, tmp_path):
    model, tokenizer = saved(tmp_path / "model")
    path = export(tmp_path / "model", tmp_path).path
    assert exported_file(tmp_path / "model") is None
    assert exported_file(path) == exported_file(path.parent)
    rows = encode(Dataset.from_dict({"text": TEXTS, "row": [1, 2, 3]}), tokenizer, 64, truncate=False)
    opened = open_exported(exported_file(path), MOOD, threads=1)
    np.testing.assert_allclose(opened.answer(rows), predict(model, rows, tokenizer)[:, ::-1], atol=1e-5)


def test_a_file_of_another_task_is_refused(tmp_path):
    saved(tmp_path / "model")
    file = exported_file(export_onnx(tmp_path / "model", tmp_path).path)
    three = Task("topic", "classification", False, ("art", "sport", "war"), "accuracy")
    with pytest.raises(ModelError, match="does not match the data: it has 2 outputs"):
        open_exported(file, three)
