"""What is served is scored on the test rows, by its file."""

from types import SimpleNamespace

import numpy as np
import pytest

from leanformer.encoders.saving import save_model
from leanformer.export.exporters import export_onnx
from leanformer.proof import _is_kept, _served_on_test
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict

SERVE = {"runtime": "onnxruntime", "precision": "fp32", "form": "first-token"}


@pytest.mark.parametrize(
    ("change", "kept"),
    [({}, True), ({"form": ""}, False), ({"precision": "int8"}, False), ({"accepted": False}, False)],
)
def test_only_a_file_that_was_kept_is_asked(change, kept):
    assert _is_kept(SERVE, [SERVE | {"accepted": True} | change]) is kept


def test_the_file_that_is_served_answers_the_test_rows(
    tiny_model, tiny_tokenizer, mood_held_out, mood_task, tmp_path
):
    dense, small = tiny_model("bert").eval(), tiny_model("bert", width=48).eval()
    save_model(small, tiny_tokenizer, tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path, form=SERVE["form"])
    run = SimpleNamespace(folder=tmp_path, job=SimpleNamespace(threads=1, seed=0))
    examples = SimpleNamespace(task=mood_task, tokenizer=tiny_tokenizer)
    found = _served_on_test(run, dense, examples, mood_held_out, SERVE)
    labels = np.asarray(mood_held_out["label"][:])
    before, after = (
        score("accuracy", predict(model, mood_held_out, tiny_tokenizer), labels) for model in (dense, small)
    )
    assert found["score"] == after
    assert found["drop_points"] == pytest.approx(100 * (before - after))
    low, high = found["drop_interval"]
    assert low <= found["drop_points"] <= high
