"""A judge over a tiny random model, for the tests of evaluation and strategies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leanformer.encoders.view import EncoderView
from leanformer.search.evaluate import Judge
from leanformer.search.journal import Journal
from leanformer.search.realise import Realiser, unit_space, weight_space
from leanformer.structure.activations import Moments, second_moments
from leanformer.structure.importance import unit_magnitude, weight_magnitude
from leanformer.structure.sequential import Stream, dense_stream
from leanformer.tasks.encode import batches


@pytest.fixture(scope="session")
def dense(tiny_model):
    return tiny_model("bert", layers=3, hidden=16, heads=4, width=24)


@pytest.fixture(scope="session")
def dense_moments(dense, mood_train, tiny_tokenizer) -> Moments:
    plan = [batch for _, batch in batches(mood_train.select(range(64)), tiny_tokenizer)]
    return second_moments(dense, plan, seed=0)


@pytest.fixture(scope="session")
def stream(dense, dense_moments, mood_train, tiny_tokenizer) -> Stream:
    plan = [batch for _, batch in batches(mood_train.select(range(64)), tiny_tokenizer)]
    return dense_stream(dense, plan, dense_moments)


@pytest.fixture
def make_judge(
    dense, dense_moments, stream, mood_train, mood_held_out, tiny_tokenizer
) -> Callable[..., Judge]:
    """The factory make_judge(journal path, granularity="unit", ratio=0.5)."""

    def make(path: Path, granularity: str = "unit", ratio: float = 0.5) -> Judge:
        view = EncoderView(dense)
        space = (unit_space if granularity == "unit" else weight_space)(view, ratio)
        scores = (unit_magnitude if granularity == "unit" else weight_magnitude)(view)
        realiser = Realiser(dense, space, scores, dense_moments, stream)
        journal = Journal(path, f"{granularity}-{ratio:g}")
        return Judge(realiser, tiny_tokenizer, mood_held_out, mood_train.select(range(32)), journal)

    return make
