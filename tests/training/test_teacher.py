"""The teacher's outputs: cached ones equal live ones, row by row and token by token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leanformer.tasks.encode import batches
from leanformer.training import teacher as teachers
from leanformer.training.batching import Collator, training_columns
from leanformer.training.teacher import CachedTeacher, LiveTeacher, teacher_for
from tiny import build_reader, build_tagger

LAYERS = (1, 2)


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    monkeypatch.setattr(teachers, "has_fast_bfloat16", lambda: False)


@pytest.fixture
def rows(mood_train):
    return mood_train.select(range(40))


def compare(cached, live, positions: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "position")}
    (logits, hidden), (live_logits, live_hidden) = (
        cached.outputs(positions, inputs),
        live.outputs(positions, inputs),
    )
    assert torch.allclose(logits, live_logits, atol=1e-5)
    real = inputs["attention_mask"].bool()
    assert len(hidden) == len(live_hidden) == len(LAYERS)
    for state, live_state in zip(hidden, live_hidden, strict=True):
        assert state.shape == live_state.shape
        assert torch.allclose(state[real].float(), live_state[real], atol=3e-3)


@pytest.mark.parametrize("family", ["bert", "modernbert", "distilbert"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_cached_outputs_are_the_live_ones(
    tiny_model, tiny_tokenizer, rows, tmp_path, family, side, monkeypatch
):
    model = tiny_model(family)
    cached = teacher_for(model, tiny_tokenizer, rows, LAYERS, tmp_path / "outputs")
    assert isinstance(cached, CachedTeacher)
    live = LiveTeacher(model, LAYERS)
    if (
        side == "left"
    ):  # positions shift, so live logits would differ: only the places of the states are compared
        monkeypatch.setattr(tiny_tokenizer, "padding_side", "left")
    collate = Collator(tiny_tokenizer, regression=False)
    columns = training_columns(rows)
    for chosen in ([0, 1, 2, 3], [39, 5, 17], [7]):  # of different lengths, in any order
        batch = collate([columns[index] for index in chosen])
        if side == "right":
            compare(cached, live, batch["position"], batch)
            continue
        _, padded = cached.outputs(batch["position"], batch)
        for place, row in enumerate(chosen):
            one = collate([columns[row]])
            _, alone = cached.outputs(one["position"], one)
            real = batch["attention_mask"][place].bool()
            assert not real.all() or real.sum() == len(real)
            assert torch.equal(padded[0][place][real], alone[0][0])


def test_rows_are_found_after_grouping_by_length(tiny_model, tiny_tokenizer, rows, tmp_path):
    model = tiny_model("bert")
    cached = teacher_for(model, tiny_tokenizer, rows, LAYERS, tmp_path)
    for positions, batch in batches(rows, tiny_tokenizer, batch_size=16):
        compare(cached, LiveTeacher(model, LAYERS), torch.from_numpy(positions), batch)


def test_states_can_be_left_out(tiny_model, tiny_tokenizer, rows, tmp_path):
    cached = teacher_for(tiny_model("bert"), tiny_tokenizer, rows, (), tmp_path)
    positions, batch = next(iter(batches(rows, tiny_tokenizer, batch_size=8)))
    logits, hidden = cached.outputs(torch.from_numpy(positions), batch)
    assert logits.shape == (8, 2)
    assert hidden == []
    assert not (tmp_path / "hidden.f16").exists()


def test_scores_are_cached_too(tiny_model, tiny_tokenizer, rows, tmp_path):
    model = tiny_model("bert", num_labels=1)
    cached = teacher_for(model, tiny_tokenizer, rows, LAYERS, tmp_path)
    positions, batch = next(iter(batches(rows, tiny_tokenizer, batch_size=8)))
    compare(cached, LiveTeacher(model, LAYERS), torch.from_numpy(positions), batch)


def test_a_finished_cache_is_used_again(tiny_model, tiny_tokenizer, rows, tmp_path, monkeypatch):
    model = tiny_model("bert")
    first = teacher_for(model, tiny_tokenizer, rows, LAYERS, tmp_path)
    monkeypatch.setattr(teachers, "remember", None)
    again = teacher_for(model, tiny_tokenizer, rows, LAYERS, tmp_path)
    assert torch.equal(first.logits, again.logits)


def test_a_cache_that_a_kill_left_unfinished_is_made_again(
    tiny_model, tiny_tokenizer, rows, tmp_path, monkeypatch
):
    model = tiny_model("bert")
    plain = LiveTeacher.outputs
    calls = []

    def dies(self, positions, batch):
        calls.append(positions)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(self, positions, batch)

    many = rows.select(list(range(40)) * 3)
    with monkeypatch.context() as patch:
        patch.setattr(LiveTeacher, "outputs", dies)
        with pytest.raises(KeyboardInterrupt):
            teacher_for(model, tiny_tokenizer, many, LAYERS, tmp_path / "outputs")
    assert list(tmp_path.iterdir()) == []  # a cache is written apart and moved into place
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "hidden.f16").write_bytes(b"cut short")
    cached = teacher_for(model, tiny_tokenizer, many, LAYERS, tmp_path / "outputs")
    positions, batch = list(batches(many, tiny_tokenizer, batch_size=32))[-1]
    compare(cached, LiveTeacher(model, LAYERS), torch.from_numpy(positions), batch)


def test_a_cache_that_would_be_too_large_is_not_made(tiny_model, tiny_tokenizer, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(teachers, "CACHE_LIMIT_GB", 1e-6)
    live = teacher_for(tiny_model("bert"), tiny_tokenizer, rows, LAYERS, tmp_path / "outputs")
    assert isinstance(live, LiveTeacher)
    assert not (tmp_path / "outputs").exists()


def test_large_states_survive_float16(tiny_model, tiny_tokenizer, rows, tmp_path):
    teacher_for(tiny_model("modernbert"), tiny_tokenizer, rows, LAYERS, tmp_path)
    assert np.isfinite(np.fromfile(tmp_path / "hidden.f16", dtype=np.float16)).all()


@pytest.mark.parametrize("layers", [LAYERS, ()])
@pytest.mark.parametrize(("kind", "build"), [("words", build_tagger), ("questions", build_reader)])
def test_answers_for_tokens_are_kept_token_by_token(kind, build, layers, request, tiny_tokenizer, tmp_path):
    rows = request.getfixturevalue("tagged_rows" if kind == "words" else "squad_rows")
    model = build("bert")
    cached = teacher_for(model, tiny_tokenizer, rows, layers, tmp_path / "outputs")
    assert isinstance(cached, CachedTeacher)
    columns = training_columns(rows)
    collate = Collator(tiny_tokenizer, regression=False)
    for chosen in ([0, 1, 2, 3], [39, 5, 17], [7]):
        batch = collate([columns[index] for index in chosen])
        assert batch["labels"].shape[:2] == batch["input_ids"].shape
        assert batch["labels"].ndim == (2 if kind == "words" else 3)
        positions = batch.pop("position")
        del batch["labels"]
        real = batch["attention_mask"].bool()
        logits, hidden = cached.outputs(positions, batch)
        live, _ = LiveTeacher(model, layers).outputs(positions, batch)
        assert torch.allclose(logits[real], live[real], atol=1e-5)
        assert len(hidden) == len(layers)
