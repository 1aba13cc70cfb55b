"""How texts are to be read: what the run says in which a model lies, unless the user says otherwise."""

import pytest

from leanformer.errors import DataError
from leanformer.job import Job
from leanformer.reading import Reading
from leanformer.run import Run
from leanformer.tasks.load import DataSpec


def test_model_in_a_run_brings_its_data_and_settings(tmp_path):
    job = Job("bert", DataSpec("reviews"), truncate=True, max_tokens=16, threads=1)
    run = Run.create(tmp_path / "run", job, resume=False)
    for place in (run.folder, run.folder / "model", run.folder / "onnx" / "model.onnx"):
        found = Reading(threads=3).beside(str(place))
        assert found == Reading(DataSpec("reviews"), truncate=True, max_tokens=16, threads=3)
    own = Reading(DataSpec("tweets"), truncate=False, max_tokens=32).beside(str(run.folder))
    assert (own.spec, own.truncate, own.max_tokens) == (DataSpec("tweets"), False, 32)


def test_model_outside_a_run_needs_data(tmp_path):
    with pytest.raises(DataError, match="--data"):
        Reading().load(str(tmp_path))
